"""Networks with a border through every step of conversion: they stay int8 throughout, and can be resized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from convert.converter import convert_model
from convert.coral.check import check_content
from convert.recipes import RECIPES
from convert.resize import resize
from quietcam.architecture import Architecture
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import strip_manifest
from quietcam.tflite.packing import pack, schema
from quietcam.tflite.receptive_field import receptive_field
from tests.tiny_network import build_tiny, noisy_pictures, set_of, with_history

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

NETWORKS = {
    "even": Architecture(widths=(8, 16), depths=(1, 1), border=4),
    "odd": Architecture(widths=(8, 16, 8), depths=(1, 1, 1), border=2),
    "ships": Architecture(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), border=4),
    "video": Architecture(widths=(8, 16, 8), depths=(1, 1, 1), border=2, history=1),
}
SIDE = 64


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tmp_path_factory):
    """``(architecture, Keras model, loaded model, representative set)``."""
    from convert.sources.keras_model import load_keras

    architecture = NETWORKS[request.param]
    model = build_tiny(None, architecture)
    path: Path = tmp_path_factory.mktemp("border") / f"{request.param}.keras"
    model.save(path)
    noisy, clean = noisy_pictures(16, 32)
    return architecture, model, load_keras(path), with_history(noisy, clean) if architecture.history else set_of(noisy)


def converted(network, recipe, width=SIDE, height=SIDE):
    return convert_model(network[2], RECIPES[recipe], width=width, height=height, representative=network[3]).content


def run(content, *pictures):
    """The denoised picture of uint8 ``pictures``, in steps of 255."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for end in interpreter.get_input_details():
        picture = pictures["history" in end["name"]][None]
        is_int8 = end["dtype"] == np.int8
        interpreter.set_tensor(end["index"], (picture ^ 0x80).view(np.int8) if is_int8 else picture / np.float32(255))
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    index = next((each["index"] for each in outputs if "history" not in each["name"]), outputs[0]["index"])
    found = interpreter.get_tensor(index)[0]
    return (found.view(np.uint8) ^ 0x80).astype(float) if found.dtype == np.int8 else np.clip(found, 0, 1) * 255.0


def test_float_and_int8_files_compute_what_keras_does(network):
    architecture, model, *_ = network
    noisy, clean = noisy_pictures(2, SIDE, seed=9)
    pictures = (noisy[0], clean[1])[: 1 + architecture.history]
    keras = model(
        [each[None] / np.float32(255) for each in pictures] if architecture.history else pictures[0][None] / 255
    )
    expected = np.asarray(keras[0] if architecture.history else keras)[0] * 255
    np.testing.assert_allclose(run(converted(network, "float32"), *pictures), expected, atol=0.01)
    differs = np.abs(run(converted(network, "int8"), *pictures) - expected)
    assert differs.mean() < 1.5
    assert differs[:2].mean() < 2.0  # the outermost rows


def test_it_is_int8_throughout_with_pixels_at_both_ends(network):
    graph = read_graph(converted(network, "int8"))
    assert graph.int8_share == 1.0
    for end in (*graph.inputs, *graph.outputs):
        assert (end.scales, end.zero_points) == ((np.float32(1 / 255),), (-128,))
    # What is only moved is never rounded again.
    for op in graph.ops:
        if op.kind in ("STRIDED_SLICE", "CONCATENATION", "PAD"):
            assert {(*each.scales, *each.zero_points) for each in op.activations} == {
                (*op.outputs[0].scales, *op.outputs[0].zero_points)
            }


def test_stride_receptive_field_and_cost_are_those_of_the_architecture(network):
    architecture = network[0]
    graph = read_graph(converted(network, "int8", 192, 96))
    assert graph.stride == architecture.stride
    assert graph.gmacs == pytest.approx(architecture.gmacs(96, 192))
    assert graph.gmacs_256 == pytest.approx(architecture.gmacs(256, 256)), "what a border adds does not grow"
    field = receptive_field(graph)
    assert field is not None
    assert field <= architecture.receptive_field + architecture.stride


@pytest.mark.parametrize("recipe", ["float32", "int8"])
@pytest.mark.parametrize(("width", "height"), [(96, 32), (160, 128)])
def test_resized_it_is_what_the_converter_makes_at_that_size(network, recipe, width, height):
    made, asked = (resize(converted(network, recipe), width, height), converted(network, recipe, width, height))
    assert bare(made) == bare(asked)
    assert bare(resize(made, SIDE, SIDE)) == bare(converted(network, recipe))
    pictures = noisy_pictures(2, max(width, height), seed=3)[0][:, :height, :width][: 1 + network[0].history]
    np.testing.assert_array_equal(run(made, *pictures), run(asked, *pictures))


def test_every_operator_is_expected_to_map_to_an_edge_tpu(network):
    made = convert_model(network[2], RECIPES["int8"], width=SIDE, height=SIDE, representative=network[3], is_coral=True)
    report = check_content(made.content, "m.tflite")
    assert [each.kind for each in report.ops if not each.on_tpu] == []


def bare(content):
    """The graph's bytes alone, packed anew, without what the converter wrote about itself."""
    model = schema().ModelT.InitFromPackedBuf(strip_manifest(content), 0)
    for entry in model.metadata or []:
        if entry.name == b"CONVERSION_METADATA":
            model.buffers[entry.buffer].data = None
    return pack(model)
