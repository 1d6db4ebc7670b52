"""Networks with a border through every step of conversion: they stay int8 throughout, and can be resized."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from convert.converter import convert_model, describe
from convert.coral.check import check_content
from convert.files import write_model
from convert.recipes import RECIPES
from convert.resize import resize
from convert.sources.finished import load_finished
from quietcam.architecture import Architecture
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import strip_manifest
from quietcam.tflite.packing import pack, schema
from quietcam.tflite.receptive_field import receptive_field
from tests.tiny_network import build_tiny, noisy_pictures, set_of, with_history

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

NETWORKS = {
    "gray": Architecture(channels=1, stem=4, widths=(8, 16, 8), depths=(1, 1, 1), border=12),
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
    noisy, clean = (pictures[..., : architecture.channels] for pictures in noisy_pictures(16, 32))
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
    pictures, expected = computed_by_keras(architecture, model, SIDE)
    np.testing.assert_allclose(run(converted(network, "float32"), *pictures), expected, atol=0.01)
    differs = np.abs(run(converted(network, "int8"), *pictures) - expected)
    assert differs.mean() < 1.5
    assert differs[:2].mean() < 2.0  # the outermost rows


def test_the_smallest_frame_of_all_has_a_border_too(network):
    architecture, model, *_ = network
    side = architecture.stride
    pictures, expected = computed_by_keras(architecture, model, side)
    np.testing.assert_allclose(run(converted(network, "float32", side, side), *pictures), expected, atol=0.01)


def computed_by_keras(architecture, model, side):
    """``(pictures, denoised)``: inputs, uint8, and what the Keras model makes of them, in steps of 255."""
    drawn = noisy_pictures(2, max(side, 16), seed=9)
    noisy, clean = (each[:, :side, :side, : architecture.channels] for each in drawn)
    pictures = (noisy[0], clean[1])[: 1 + architecture.history]
    given = [each[None] / np.float32(255) for each in pictures]
    found = model(given)[0] if architecture.history else model(given[0])
    return pictures, np.asarray(found)[0] * 255


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
    noisy, _ = noisy_pictures(2, max(width, height), seed=3)
    pictures = noisy[: 1 + network[0].history, :height, :width, : network[0].channels]
    np.testing.assert_array_equal(run(made, *pictures), run(asked, *pictures))


def test_a_video_network_has_the_int8_of_its_body(tmp_path):
    """Cuts read the same blocks, and only their places tell them apart."""
    from convert.sources.keras_model import load_keras
    from train.model import build, copy_convolutions

    video = build_tiny(None, NETWORKS["video"])
    still = build(replace(NETWORKS["video"], history=0))
    copy_convolutions(video, still)

    def made(model, name, pictures, body=None):
        model.save(tmp_path / f"{name}.keras")
        loaded = replace(load_keras(tmp_path / f"{name}.keras"), body=body)
        found = convert_model(loaded, RECIPES["int8"], width=96, height=SIDE, representative=pictures)
        return found, write_model(tmp_path, found.content, describe(found, loaded, name, pictures))

    finished, path = made(still, "still", set_of(noisy_pictures(8, 32, seed=5, sigma=60.0)[0]))
    whole, _ = made(video, "video", with_history(*noisy_pictures(8, 32)), load_finished(path).finished["int8"])
    frame = noisy_pictures(1, 96, seed=9)[0][0, :SIDE]
    np.testing.assert_array_equal(run(whole.content, frame, frame), run(finished.content, frame))


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
