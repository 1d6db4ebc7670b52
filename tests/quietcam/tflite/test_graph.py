"""The op table against the architecture's own arithmetic, TensorFlow's schema and damaged files."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

import numpy as np
from tensorflow.lite.python import schema_py_generated as tf_schema

from quietcam.errors import ModelError
from quietcam.tflite.graph import read_graph
from tests.tiny_network import SIZE, TINY


def test_every_op_of_the_int8_model_is_int8_and_the_ends_are_pixels(conversions):
    """Read once more with TensorFlow's own schema, so that our reader is not its own witness."""
    content = conversions["int8"].content
    subgraph = tf_schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0]
    for op in subgraph.operators:
        types = {subgraph.tensors[i].type for i in (*op.inputs, *op.outputs) if i >= 0}
        assert types <= {tf_schema.TensorType.INT8, tf_schema.TensorType.INT32}
        assert {subgraph.tensors[i].type for i in op.outputs} == {tf_schema.TensorType.INT8}
    for index in (*subgraph.inputs, *subgraph.outputs):
        end = subgraph.tensors[index]
        assert end.quantization.scale.tolist() == [float(np.float32(1 / 255))]
        assert end.quantization.zeroPoint.tolist() == [-128]
        assert end.shape.tolist() == [1, SIZE, SIZE, 3]
    assert read_graph(content).int8_share == 1.0


def test_the_float_model_has_no_int8(conversions):
    graph = read_graph(conversions["float32"].content)
    assert graph.int8_share == 0.0
    assert {end.dtype for end in (*graph.inputs, *graph.outputs)} == {"float32"}


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_costs_are_those_of_the_architecture(conversions, recipe):
    graph = conversions[recipe].graph
    assert graph.gmacs == pytest.approx(TINY.gmacs(SIZE, SIZE))
    assert graph.gmacs_256 == pytest.approx(TINY.gmacs(256, 256))
    assert graph.parameters == TINY.parameters
    assert graph.stride == TINY.stride
    assert graph.is_static


def test_kinds_stand_in_the_table_with_versions(conversions):
    table = conversions["int8"].graph.table()
    kinds = [row["op"] for row in table]
    assert kinds[0] == "SPACE_TO_DEPTH"
    assert kinds[-1] == "DEPTH_TO_SPACE"
    assert kinds.count("CONV_2D") == len(TINY.convolutions())
    assert all(row["version"] >= 1 and row["int8"] for row in table)
    assert table[0]["inputs"] == [f"int8[1,{SIZE},{SIZE},3]"]
    assert sum(row["macs"] for row in table) == round(1e9 * TINY.gmacs(SIZE, SIZE))


def test_sparsity_counts_the_zeros_of_weights_alone(conversions):
    # By hand, from TensorFlow's view of the file: the second input of every convolution.
    model = tf_schema.ModelT.InitFromPackedBuf(conversions["int8"].content, 0)
    subgraph = model.subgraphs[0]
    weights = [
        model.buffers[subgraph.tensors[op.inputs[1]].buffer].data.view(np.int8)
        for op in subgraph.operators
        if model.operatorCodes[op.opcodeIndex].builtinCode == tf_schema.BuiltinOperator.CONV_2D
    ]
    joined = np.concatenate(weights)
    assert len(joined) + sum(c.outputs for c in TINY.convolutions()) == TINY.parameters
    assert conversions["int8"].graph.sparsity == pytest.approx(np.mean(joined == 0))


@pytest.mark.parametrize("length", [0, 7, 100, 2000])
def test_a_model_that_is_cut_short_is_refused(conversions, length):
    with pytest.raises(ModelError, match=r"some\.tflite"):
        read_graph(conversions["int8"].content[:length], "some.tflite")


def test_other_bytes_are_refused():
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        read_graph(b"\x89PNG" + bytes(200))
