"""Operators are taken out or replaced: no bit of the output may change, and nothing else may go."""

from __future__ import annotations

import functools

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

import flatbuffers
import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

from quietcam.tflite.graph import read_graph
from quietcam.tflite.packing import pack, schema, unpack
from quietcam.tflite.surgery import cut_tail, end_in_pixels, order_ends, remove_clips, replace_depth_to_space
from tests.tiny_network import build_tiny


def convert(model, size=32, span=(0.0, 1.0)):
    """As TensorFlow alone converts to int8, clip included."""
    function = tf.function(model).get_concrete_function(tf.TensorSpec([1, size, size, 3], tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    rng = np.random.default_rng(0)

    def frames():
        for _ in range(4):
            frame = rng.uniform(*span, (1, size, size, 3)).astype(np.float32)
            frame[0, 0, 0], frame[0, 0, 1] = span
            yield [frame]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = frames
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def run(content, codes):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def kinds(content):
    return [op.kind for op in read_graph(content).ops]


@pytest.fixture(scope="module")
def clipped():
    return convert(build_tiny())


@pytest.mark.parametrize("seed", range(3))
def test_outputs_stay_bit_identical(clipped, seed):
    stripped, _ = remove_clips(clipped)
    codes = np.random.default_rng(seed).integers(-128, 128, (1, 32, 32, 3)).astype(np.int8)
    expected = run(clipped, codes)
    np.testing.assert_array_equal(run(stripped, codes), expected)
    assert {-128, 127} <= set(np.unique(expected))  # the clip had something to do


def test_exactly_the_clip_goes(clipped):
    stripped, removed = remove_clips(clipped)
    assert removed
    assert set(removed) <= {"MINIMUM", "RELU", "RELU_0_TO_1", "RELU6"}
    left = kinds(clipped)
    for kind in removed:
        left.remove(kind)
    assert kinds(stripped) == left
    assert remove_clips(stripped) == (stripped, [])


def test_what_is_left_keeps_its_names_and_signature(clipped):
    before, after = (Interpreter(model_content=each) for each in (clipped, remove_clips(clipped)[0]))
    assert before.get_signature_list() == after.get_signature_list()
    for side in ("get_input_details", "get_output_details"):
        assert getattr(before, side)()[0]["name"] == getattr(after, side)()[0]["name"]


def test_no_tensor_or_operator_code_stays_behind_unused(clipped):
    model = schema().ModelT.InitFromPackedBuf(remove_clips(clipped)[0], 0)
    subgraph = model.subgraphs[0]
    used = {int(i) for op in subgraph.operators for i in (*op.inputs, *op.outputs)}
    assert used == set(range(len(subgraph.tensors)))
    assert {op.opcodeIndex for op in subgraph.operators} == set(range(len(model.operatorCodes)))


def test_constants_are_aligned_to_16_bytes_as_the_schema_asks(clipped):
    content, _ = remove_clips(clipped)
    model = schema().Model.GetRootAs(content, 0)
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            # Field 0 of the table, as FlatBuffers counts: vtable slot 4.
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0


def _edited(content, edit):
    """The model after ``edit(model, subgraph, the operator MINIMUM)``."""
    model = schema().ModelT.InitFromPackedBuf(content, 0)
    subgraph = model.subgraphs[0]
    minimum = next(
        op
        for op in subgraph.operators
        if model.operatorCodes[op.opcodeIndex].builtinCode == schema().BuiltinOperator.MINIMUM
    )
    edit(model, subgraph, minimum)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _lower_bound(model, subgraph, minimum):
    constant = next(i for i in minimum.inputs if model.buffers[subgraph.tensors[i].buffer].data is not None)
    model.buffers[subgraph.tensors[constant].buffer].data = np.array([100], np.int8).view(np.uint8)


def _other_scale(_model, subgraph, minimum):
    for index in (*minimum.inputs, *minimum.outputs):
        subgraph.tensors[index].quantization.scale = np.array([2 / 255], np.float32)


def _other_zero_point(_model, subgraph, minimum):
    for index in (*minimum.inputs, *minimum.outputs):
        subgraph.tensors[index].quantization.zeroPoint = np.array([-127])


@pytest.mark.parametrize("edit", [_lower_bound, _other_scale, _other_zero_point])
def test_a_clip_that_does_something_stays(clipped, edit):
    content = _edited(clipped, edit)
    stripped, removed = remove_clips(content)
    assert "MINIMUM" not in removed
    codes = np.random.default_rng(0).integers(-128, 128, (1, 32, 32, 3)).astype(np.int8)
    np.testing.assert_array_equal(run(stripped, codes), run(content, codes))


def test_a_clip_that_is_the_very_end_goes_too():
    noisy = keras.Input((32, 32, 3))
    x = keras.layers.Add()([noisy, keras.layers.Conv2D(3, 3, padding="same")(noisy)])
    content = convert(keras.Model(noisy, keras.layers.ReLU(1.0)(x)))
    stripped, removed = remove_clips(content)
    assert removed
    assert kinds(stripped)[-1] == "ADD"
    codes = np.random.default_rng(0).integers(-128, 128, (1, 32, 32, 3)).astype(np.int8)
    np.testing.assert_array_equal(run(stripped, codes), run(content, codes))


def test_a_float_model_is_left_alone(conversions):
    content = conversions["float32"].content
    assert remove_clips(content) == (content, [])


def test_ends_in_any_order_get_theirs_and_the_graph_computes_the_same(video_conversions):
    content = video_conversions["int8"].content
    assert order_ends(content) == content
    model = unpack(content)
    subgraph = model.subgraphs[0]
    subgraph.inputs, subgraph.outputs = subgraph.inputs[::-1], subgraph.outputs[::-1]
    for index in (*subgraph.inputs, *subgraph.outputs):
        subgraph.tensors[index].name = f"tensor{index}".encode()
    ordered = order_ends(pack(model), ("history", "noisy"), ("history", "denoised"))
    assert order_ends(pack(model)) == ordered  # by the signature
    for before, after in (
        (read_graph(content).inputs, read_graph(ordered).inputs),
        (read_graph(content).outputs, read_graph(ordered).outputs),
    ):
        assert [(each.name, each.index) for each in before] == [(each.name, each.index) for each in after]


def test_every_output_becomes_pixels_and_keeps_its_name(video_conversions):
    """Both outputs are given another scale by hand; a QUANTIZE behind each brings it back."""
    model = unpack(video_conversions["int8"].content)
    for index in model.subgraphs[0].outputs:
        model.subgraphs[0].tensors[index].quantization.scale = np.array([1 / 256], np.float32)
    found = read_graph(end_in_pixels(pack(model)))
    assert [op.kind for op in found.ops[-2:]] == ["QUANTIZE", "QUANTIZE"]
    assert [each.name for each in found.outputs] == ["denoised", "history_out"]
    assert {(each.scales, each.zero_points) for each in found.outputs} == {((float(np.float32(1 / 255)),), (-128,))}


@pytest.fixture(scope="module")
def shuffling():
    """A small network with a depth-to-space of ``block`` in the middle and one at the end, in int8."""

    @functools.cache
    def make(block, channels=3):
        noisy = keras.Input((32, 32, 3))
        cells = keras.layers.Conv2D(channels * block**2, block, block, activation="sigmoid")(noisy)
        spread = tf.nn.depth_to_space(cells, block)
        values = keras.layers.Conv2D(12, 3, 2, "same", activation="relu")(spread)
        model = keras.Model(noisy, tf.nn.depth_to_space(values, 2))
        rng = np.random.default_rng(3)
        model.set_weights([rng.normal(0, 0.2, each.shape) for each in model.get_weights()])
        return convert(model)

    return make


def values_of(content, tensors, codes):
    """The codes of some tensors, by number, when ``codes`` are the input."""
    model = unpack(content)
    model.subgraphs[0].outputs = np.array(tensors, np.int32)
    model.signatureDefs = []
    interpreter = Interpreter(model_content=pack(model))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    return [interpreter.get_tensor(each) for each in tensors]


@pytest.mark.parametrize(("block", "channels"), [(2, 3), (4, 1), (8, 3)])
def test_split_join_and_reshape_do_what_numpy_does_for_depth_to_space(shuffling, block, channels):
    """By the definition: value (i, j, c) of cell (y, x) goes to pixel (block * y + i, block * x + j), channel c."""
    content = replace_depth_to_space(shuffling(block, channels))
    graph = read_graph(content)
    split, reshape = (next(op for op in graph.ops if op.kind == kind) for kind in ("SPLIT", "RESHAPE"))
    codes = np.random.default_rng(block).integers(-128, 128, (1, 32, 32, 3)).astype(np.int8)
    cells, found = values_of(content, [split.inputs[1].index, reshape.outputs[0].index], codes)
    side = 32 // block
    assert cells.shape == (1, side, side, channels * block**2)
    assert len(np.unique(cells)) > 50
    expected = cells.reshape(side, side, block, block, channels).transpose(0, 2, 1, 3, 4).reshape(1, 32, 32, channels)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("block", [2, 8])
def test_no_depth_to_space_is_left_and_the_outputs_stay_bit_identical(shuffling, block):
    before = shuffling(block)
    after = replace_depth_to_space(before)
    moves = ["SPLIT", "CONCATENATION", "RESHAPE"]
    replaced = [new for kind in kinds(before) for new in (moves if kind == "DEPTH_TO_SPACE" else [kind])]
    assert kinds(before).count("DEPTH_TO_SPACE") == 2
    assert kinds(after) == replaced
    names = {schema().BuiltinOperator.DEPTH_TO_SPACE} & {each.builtinCode for each in unpack(after).operatorCodes}
    assert not names, "the compiler refuses a model for an operator that it only lists"
    codes = np.random.default_rng(1).integers(-128, 128, (1, 32, 32, 3)).astype(np.int8)
    np.testing.assert_array_equal(run(before, codes), run(after, codes))
    assert replace_depth_to_space(after) == after


def test_the_picture_of_a_video_network_ends_in_blocks_and_what_it_remembers_in_pixels(video_conversions):
    whole = video_conversions["int8"].content
    cut, block = cut_tail(whole)
    before, after = read_graph(whole), read_graph(cut)
    assert block == 2
    assert [each.name for each in after.outputs] == ["denoised", "history_out"]
    assert after.denoised.shape == (1, 32, 32, 12)
    assert after.remembered.shape == before.remembered.shape == (1, 64, 64, 3)
    assert [op.kind for op in after.ops] == [op.kind for op in before.ops][:-1]


def test_outputs_in_the_other_order_are_cut_by_name(video_conversions):
    model = unpack(video_conversions["int8"].content)
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[::-1].copy()
    cut, block = cut_tail(pack(model))
    assert block == 2
    assert [(each.name, each.shape) for each in read_graph(cut).outputs] == [
        ("history_out", (1, 64, 64, 3)),
        ("denoised", (1, 32, 32, 12)),
    ]


def test_a_picture_that_another_operator_reads_keeps_its_depth_to_space(shuffling):
    """Here the network's own picture makes what it remembers, so both must be pixels."""
    model = unpack(shuffling(8))
    graph = read_graph(shuffling(8))
    picture = next(op for op in graph.ops if op.kind == "DEPTH_TO_SPACE").outputs[0].index
    model.subgraphs[0].outputs = np.array([picture, graph.outputs[0].index], np.int32)
    model.subgraphs[0].tensors[picture].name = b"denoised"
    model.subgraphs[0].tensors[graph.outputs[0].index].name = b"history"
    model.signatureDefs = []
    content = pack(model)
    assert cut_tail(content) == (content, 0)
    assert "DEPTH_TO_SPACE" not in kinds(replace_depth_to_space(content))
