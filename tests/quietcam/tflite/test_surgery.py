"""Taking the clip out: no bit of the output may change, and nothing else may go."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

import flatbuffers
import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

from quietcam.tflite.graph import read_graph
from quietcam.tflite.packing import pack, schema, unpack
from quietcam.tflite.surgery import end_in_pixels, order_ends, remove_clips
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
