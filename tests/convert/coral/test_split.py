"""A graph that ends before depth-to-space gives exactly the pixels of the whole one, on the CPU, at any frame size."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from convert.converter import convert_model, describe
from convert.coral.check import check_content, check_model
from convert.coral.compile import adopt_model
from convert.coral.tile import activation_bytes, coral_tile
from convert.files import write_model
from convert.recipes import get_recipe
from edge.models import shipped_models
from edge.network.denoiser import Denoiser
from edge.network.modelfile import load_model
from quietcam.app.cli import run
from quietcam.representative.set import save_set
from quietcam.tflite.graph import read_graph
from quietcam.tflite.manifest import attach_manifest, model_sha256, read_manifest, strip_manifest

from .graphs import compiled, edited


def split(path: Path, folder: Path) -> Path:
    """The model at ``path`` without its last operator, a depth-to-space, and told so in its manifest."""
    blocks = []

    def end_earlier(model, kinds):
        subgraph = model.subgraphs[0]
        last = subgraph.operators.pop()
        code = model.operatorCodes[last.opcodeIndex]
        assert max(code.builtinCode, code.deprecatedBuiltinCode) == kinds.BuiltinOperator.DEPTH_TO_SPACE
        blocks.append(last.builtinOptions.blockSize)
        subgraph.outputs = np.array([last.inputs[0]], np.int32)
        model.signatureDefs = []

    content = edited(strip_manifest(path.read_bytes()), end_earlier)
    manifest = read_manifest(path)
    told = dataclasses.replace(manifest, sha256=model_sha256(content), tail="depth_to_space", block=blocks[0])
    target = folder / path.name
    target.write_bytes(attach_manifest(content, told))
    return target


def picture(height, width, channels=3):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, channels), np.uint8)


def shipped_int8():
    return next(path for path in shipped_models() if path.name == "demo_256x256_int8.tflite")


@pytest.fixture(scope="module")
def coral_file(loaded, representative, tmp_path_factory):
    """The tiny network as `convert --target coral` makes it, at the size of its whole twin."""
    recipe = get_recipe("int8")
    made = convert_model(loaded, recipe, width=64, height=64, representative=representative, is_coral=True)
    return write_model(tmp_path_factory.mktemp("coral"), made.content, describe(made, loaded, "tiny", representative))


@pytest.mark.parametrize("size", [(64, 64), (50, 37), (64, 200), (150, 130), (1, 1)])
def test_the_split_model_gives_the_pixels_of_the_whole_one(model_files, coral_file, size):
    noisy = picture(*size)
    with Denoiser(model_files["int8"], threads=1) as one, Denoiser(coral_file, threads=1) as other:
        assert one.tiles(*size) == other.tiles(*size)
        np.testing.assert_array_equal(one.denoise(noisy), other.denoise(noisy))


def test_the_split_graph_is_the_whole_one_without_its_last_operator(model_files, coral_file):
    whole, half = (read_graph(strip_manifest(path.read_bytes())) for path in (model_files["int8"], coral_file))
    assert [op.kind for op in half.ops] == [op.kind for op in whole.ops][:-1]
    assert whole.ops[-1].kind == "DEPTH_TO_SPACE"
    assert (read_manifest(coral_file).tail, read_manifest(coral_file).block) == ("depth_to_space", 2)
    assert check_content(coral_file.read_bytes(), "tiny").holds


def test_convert_for_a_coral_chooses_the_tile_and_tells_the_preflight(
    run_folder, representative, loaded, tmp_path, capsys
):
    save_set(tmp_path / "rep.npz", representative)
    words = ["convert", str(run_folder), "--target", "coral", "--representative", str(tmp_path / "rep.npz")]
    assert run([*words, "--out", str(tmp_path)]) == 0
    (file,) = (tmp_path / "coral").glob("*.tflite")
    side = coral_tile(loaded.architecture)
    assert file.name == f"tiny_{side}x{side}_int8.tflite"
    assert "expected to run on the Edge TPU" in capsys.readouterr().out
    assert run(["coral", "check", str(file)]) == 0
    report = check_content(file.read_bytes(), file.name)
    assert report.memory.is_far_from_the_cliff
    assert report.memory.activations == activation_bytes(loaded.architecture) * side * side


def test_the_shipped_network_split_gives_its_pixels_and_holds_in_the_preflight(tmp_path):
    whole = shipped_int8()
    half = split(whole, tmp_path)
    noisy = picture(300, 400)
    with Denoiser(whole) as one, Denoiser(half) as other:
        np.testing.assert_array_equal(one.denoise(noisy), other.denoise(noisy))
    assert check_content(half.read_bytes(), half.name).holds
    assert not check_content(whole.read_bytes(), whole.name).holds


def test_compile_keeps_what_is_left_to_the_host(coral_file, tmp_path):
    """The compiled result is a stand-in; the device reads the manifest that is appended to it."""
    result = tmp_path / "result.tflite"
    result.write_bytes(compiled(strip_manifest(coral_file.read_bytes())))
    report = adopt_model(coral_file, tmp_path / "out", result, check_model(coral_file))
    model = load_model(report.path)
    assert (model.block, model.is_compiled, model.height, model.channels) == (2, True, 64, 3)
    assert report.differences == ()
    assert report.holds


def test_a_compiled_model_with_its_twin_denoises_on_the_cpu_where_there_is_no_coral(
    coral_file, tmp_path, monkeypatch, said
):
    """What `coral compile` leaves beside its source is what `--device usb` starts from, and falls back from."""
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", str(tmp_path / "no_such_library.so"))
    plain = Path(shutil.copy(coral_file, tmp_path))
    result = tmp_path / "result.bin"
    result.write_bytes(compiled(strip_manifest(plain.read_bytes())))
    program = adopt_model(plain, tmp_path, result, check_model(plain)).path
    noisy = picture(100, 90)
    with Denoiser(program, threads=1, device="usb:0") as denoiser, Denoiser(plain, threads=1) as cpu:
        assert denoiser.device_state["used"] == "cpu"
        np.testing.assert_array_equal(denoiser.denoise(noisy), cpu.denoise(noisy))
    assert any("libedgetpu" in line for line in said)
