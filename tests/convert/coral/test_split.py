"""A graph that ends before depth-to-space gives exactly the pixels of the whole one, on the CPU, at any frame size."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from convert.coral.check import check_content
from edge.denoiser import Denoiser
from edge.models import shipped_models
from quietcam.manifest import attach_manifest, model_sha256, read_manifest, strip_manifest

from .conftest import compiled, edited


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


@pytest.mark.parametrize("size", [(64, 64), (50, 37), (64, 200), (150, 130), (1, 1)])
def test_the_split_model_gives_the_pixels_of_the_whole_one(model_files, tmp_path, size):
    whole = model_files["int8"]
    noisy = picture(*size)
    with Denoiser(whole, threads=1) as one, Denoiser(split(whole, tmp_path), threads=1) as other:
        assert one.tiles(*size) == other.tiles(*size)
        np.testing.assert_array_equal(one.denoise(noisy), other.denoise(noisy))


def test_the_shipped_network_split_gives_its_pixels_and_holds_in_the_preflight(tmp_path):
    whole = shipped_int8()
    half = split(whole, tmp_path)
    noisy = picture(300, 400)
    with Denoiser(whole) as one, Denoiser(half) as other:
        np.testing.assert_array_equal(one.denoise(noisy), other.denoise(noisy))
    assert check_content(half.read_bytes(), half.name).holds
    assert not check_content(whole.read_bytes(), whole.name).holds


def test_a_compiled_model_with_its_twin_denoises_on_the_cpu_where_there_is_no_coral(model_files, tmp_path, monkeypatch):
    """What `coral compile` leaves beside its source is what `--device usb` starts from, and falls back from."""
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", str(tmp_path / "no_such_library.so"))
    plain = split(model_files["int8"], tmp_path)
    content = compiled(strip_manifest(plain.read_bytes()))
    manifest = dataclasses.replace(read_manifest(plain), sha256=model_sha256(content))
    program = tmp_path / "tiny_64x64_int8_edgetpu.tflite"
    program.write_bytes(attach_manifest(content, manifest))
    said = []
    noisy = picture(100, 90)
    with Denoiser(program, threads=1, device="usb:0", tell=said.append) as denoiser, Denoiser(plain, threads=1) as cpu:
        assert denoiser.device_state["used"] == "cpu"
        np.testing.assert_array_equal(denoiser.denoise(noisy), cpu.denoise(noisy))
    assert any("libedgetpu" in line for line in said)
