"""A finished model for another size is what the converter makes of the network at that size."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from convert.converter import convert_model
from convert.recipes import RECIPES
from convert.resize import resize
from edge.models import shipped_models
from quietcam.errors import ModelError, UsageError
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import model_sha256, strip_manifest
from quietcam.tflite.packing import pack, schema
from tests.convert.coral.graphs import graph

_ABOUT_THE_CONVERSION = b"CONVERSION_METADATA"  # among other things a number of the graph that was converted


def run(content, seed=0):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(seed)
    for end in interpreter.get_input_details():
        pixels = rng.integers(-128, 128, end["shape"]).astype(np.int8)
        interpreter.set_tensor(end["index"], pixels if end["dtype"] == np.int8 else (pixels + np.float32(128)) / 255)
    interpreter.invoke()
    return np.concatenate([interpreter.get_tensor(out["index"]) for out in interpreter.get_output_details()])


def bare(content):
    """The graph's bytes alone, packed anew, without what the converter wrote about itself."""
    kinds = schema()
    model = kinds.ModelT.InitFromPackedBuf(strip_manifest(content), 0)
    for entry in model.metadata or []:
        if entry.name == _ABOUT_THE_CONVERSION:
            model.buffers[entry.buffer].data = None
    return pack(model)


@pytest.mark.parametrize("recipe", ["float32", "int8"])
@pytest.mark.parametrize(("width", "height"), [(96, 32), (128, 160), (4, 4)])
def test_it_gives_what_the_converter_makes_at_that_size(conversions, loaded, representative, recipe, width, height):
    made = resize(conversions[recipe].content, width, height)
    asked = convert_model(loaded, RECIPES[recipe], width=width, height=height, representative=representative)
    assert bare(made) == bare(asked.content)
    np.testing.assert_array_equal(run(made), run(asked.content))


def test_at_its_own_size_no_byte_differs(conversions):
    content = conversions["int8"].content
    assert resize(content, 64, 64) == content
    assert resize(resize(content, 96, 32), 96, 32) == resize(content, 96, 32)


@pytest.mark.parametrize("name", ["nano", "small", "base", "demo", "nano-video", "small-video", "base-video"])
def test_a_model_that_ships_is_the_same_graph_at_both_sizes(name):
    files = {path.stem: path.read_bytes() for path in shipped_models()}
    small, large = files[f"{name}_256x256_int8"], files[f"{name}_640x480_int8"]
    assert bare(resize(small, 640, 480)) == bare(large)
    assert bare(resize(large, 256, 256)) == bare(small)
    assert model_sha256(resize(small, 256, 256)) == model_sha256(small)
    np.testing.assert_array_equal(run(resize(small, 640, 480)), run(strip_manifest(large)))


@pytest.mark.parametrize(("size", "remedy"), [((98, 32), "96x32"), ((1, 64), "4x64"), ((65, 63), "64x64")])
def test_a_size_that_the_stride_does_not_divide_is_refused_with_the_nearest_that_it_does(conversions, size, remedy):
    with pytest.raises(UsageError, match=f"total stride, 4.*Remedy: `size={remedy}`"):
        resize(conversions["int8"].content, *size)


@pytest.mark.parametrize("name", ["pad", "mean", "reshape", "softmax", "strided_slice", "transposed_valid"])
def test_an_operator_that_does_not_follow_the_frames_size_is_refused(name):
    with pytest.raises(ModelError, match=r"scales with the frame's size.*Remedy: convert the .keras file"):
        resize(graph(name), 32, 32)


@pytest.mark.parametrize("name", ["good", "concat", "pool", "leaky_relu", "resize"])
def test_operators_that_follow_it_are_followed(name):
    small = read_graph(graph(name))
    large = read_graph(resize(graph(name), 48, 32))
    for before, after in zip(small.ops, large.ops, strict=True):
        assert before.kind == after.kind
        _, height, width, channels = before.outputs[0].shape
        assert after.outputs[0].shape == (1, height * 2, width * 3, channels)
    run(resize(graph(name), 48, 32))
