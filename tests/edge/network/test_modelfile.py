"""The contract that a model file must keep."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import ModelError, UsageError
from quietcam.tflite.manifest import Quant, attach_manifest, extract_manifest
from quietcam.tflite.outline import Outline, read_outline
from quietcam.tflite.quantization import Quantization
from tests.small_models import picture, with_manifest


@pytest.mark.parametrize(
    ("name", "size", "ends"),
    [
        ("small_32x32_int8", (32, 32, 3), "int8"),
        ("small_80x64_int8", (64, 80, 3), "int8"),
        ("small_32x32_float32", (32, 32, 3), "float32"),
        ("small_32x32_uint8", (32, 32, 3), "uint8"),
        ("batch_32x32_float32", (32, 32, 3), "float32"),  # a dynamic batch: what every tutorial converts
        ("gray_32x32_int8", (32, 32, 1), "int8"),
    ],
)
def test_good_models_are_read(models: Path, name: str, size: tuple[int, int, int], ends: str) -> None:
    model = load_model(models / f"{name}.tflite")
    assert (model.height, model.width, model.channels) == size
    assert model.ends == ends
    assert model.is_int8 is (ends == "int8")
    assert model.manifest is None
    assert model.name == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("bad_dynamic", "a fixed size"),
        ("bad_batch", "batch of 1"),
        ("bad_channels", "1 or 3 channels"),
        ("bad_rank", r"\[1, height, width, channels\]"),
        ("bad_scale", "scale 1/255 and zero point -128"),
        ("bad_sizes", "same size at both ends"),
        ("bad_inputs", "inputs are noisy and history, by name"),
        ("bad_outputs", "one output"),
        ("bad_three_inputs", "Received: .*inputs=3, outputs=1"),
    ],
)
def test_a_model_that_breaks_a_rule_is_refused_by_name(models: Path, name: str, rule: str) -> None:
    with pytest.raises(ModelError, match=rule) as caught:
        load_model(models / f"{name}.tflite")
    assert f"{name}.tflite" in str(caught.value)
    assert "Remedy" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "scale", "is_taken"),
    [
        # 1/255 rounded twice, and of samples whose brightest is not quite white: a hundredth of a step at most
        ("small_32x32_int8", 0.003921567928, True),
        ("small_32x32_int8", 0.0039215642, True),
        ("small_32x32_int8", 0.0039212, False),
        ("small_32x32_uint8", 0.003921567928, True),
        ("small_32x32_int8", 1 / 256, False),
        ("small_32x32_uint8", 1 / 256, False),
    ],
)
def test_a_scale_of_1_255_counts_up_to_rounding(
    models: Path, tmp_path: Path, name: str, scale: float, is_taken: bool
) -> None:
    content = (models / f"{name}.tflite").read_bytes()
    stored = struct.pack("<f", 1 / 255)
    assert stored in content
    path = tmp_path / "other.tflite"
    path.write_bytes(content.replace(stored, struct.pack("<f", scale)))
    if is_taken:
        assert load_model(path).ends == name.rsplit("_", 1)[1]
        return
    with pytest.raises(
        ModelError, match=r"ends of scale 1/255.*Received: .*: input scale 0.0039\d+ and zero point (-128|0)\. Remedy"
    ):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "outputs", "remembered"),
    [
        ("video_64x64_int8", ("history", "denoised"), "history"),
        ("video_64x64_float32", ("history", "denoised"), "history"),
        ("video_one_64x64_int8", ("denoised",), "denoised"),
    ],
)
def test_video_models_name_their_ends_in_any_order(
    models: Path, name: str, outputs: tuple[str, ...], remembered: str
) -> None:
    model = load_model(models / f"{name}.tflite")
    assert model.remembers
    assert (model.inputs, model.outputs, model.remembered) == (("history", "noisy"), outputs, remembered)
    assert not load_model(models / "small_32x32_int8.tflite").remembers
    again = ModelFile.rebuilt(json.loads(json.dumps(model.about())), model.content)
    assert again == replace(model, arena=0)


def renamed(models: Path, folder: Path, **names: str) -> Path:
    """The small video model with other names of the same length, `noisy="quiet"`."""
    content = (models / "video_64x64_int8.tflite").read_bytes()
    for name, other in names.items():
        assert len(name) == len(other)
        content = content.replace(name.encode() + b"\0", other.encode() + b"\0")
    path = folder / "renamed_64x64_int8.tflite"
    path.write_bytes(content)
    return path


def test_the_manifest_names_what_the_tensors_do_not(models: Path, tmp_path: Path) -> None:
    path = renamed(models, tmp_path, noisy="quiet", history="mystery", denoised="identity")
    with pytest.raises(ModelError, match=r"inputs are noisy and history, by name.*Received: .*mystery, quiet.*Remedy"):
        load_model(path)
    told = {"inputs": ("history", "noisy"), "outputs": ("history", "denoised"), "stride": 8}
    model = load_model(with_manifest(tmp_path, tmp_path, path.stem, **told))
    assert (model.inputs, model.outputs) == (told["inputs"], told["outputs"])


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"inputs": ("noisy",)}, "inputs are noisy and history.*Received: .*: noisy, for a graph of 2 inputs"),
        ({"outputs": ("denoised",)}, "outputs are denoised and history.*: denoised, for a graph of 2 outputs"),
    ],
)
def test_a_manifest_that_names_other_ends_than_the_graph_has_is_refused(
    models: Path, tmp_path: Path, told: dict[str, tuple[str, ...]], rule: str
) -> None:
    with pytest.raises(ModelError, match=f"{rule}.*Remedy") as caught:
        load_model(with_manifest(models, tmp_path, "video_64x64_int8", stride=8, **told))
    assert "\n" not in str(caught.value)


def test_a_video_network_whose_outputs_have_no_names_is_refused(models: Path, tmp_path: Path) -> None:
    path = renamed(models, tmp_path, denoised="identity")
    with pytest.raises(ModelError, match=r"outputs are denoised and history, by name.*history, identity, for a graph"):
        load_model(path)


@pytest.mark.parametrize(
    ("end", "change", "rule"),
    [
        ("input history", {"shape": (1, 64, 32, 3)}, r"same size at both ends.*input history int8 \[1, 64, 32, 3\]"),
        ("input history", {"dtype": "uint8"}, "int8 at both ends.*input history uint8"),
        ("input history", {"quantization": Quantization(1 / 128, -128)}, "1/255.*Received: .*: input history scale"),
        ("output history", {"quantization": Quantization(1 / 255, 0)}, "1/255.*: output history .* zero point 0"),
        ("output history", {"shape": (1, 32, 32, 12)}, r"same size at both ends.*output history int8 \[1, 32"),
        ("input history", {"shape": (1, -1, -1, 3)}, "a fixed size"),
    ],
)
def test_a_history_that_does_not_fit_the_frame_is_refused(
    models: Path, monkeypatch: pytest.MonkeyPatch, end: str, change: dict[str, Any], rule: str
) -> None:
    def changed(content: bytes, name: str) -> Outline:
        outline = read_outline(content, name)
        word, found = end.split()
        ends = [replace(each, **change) if each.name == found else each for each in getattr(outline, f"{word}s")]
        return replace(outline, **{f"{word}s": tuple(ends)})

    monkeypatch.setattr("edge.network.modelfile.read_outline", changed)
    with pytest.raises(ModelError, match=f"{rule}.*Remedy") as caught:
        load_model(models / "video_64x64_int8.tflite")
    assert "\n" not in str(caught.value)


def test_only_the_picture_may_be_in_blocks(models: Path, tmp_path: Path) -> None:
    tail = {"tail": "depth_to_space", "block": 2, "stride": 8}
    model = load_model(with_manifest(models, tmp_path, "video_split_64x64_int8", **tail))
    assert model.shape_of("denoised") == (1, 32, 32, 12)
    assert model.shape_of("history") == model.shape_of("noisy") == (1, 64, 64, 3)
    with pytest.raises(ModelError, match="in blocks of 2 at the output"):
        load_model(with_manifest(models, tmp_path, "video_64x64_int8", **tail))


def test_a_missing_file_and_a_folder_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_model(tmp_path / "none.tflite")
    with pytest.raises(UsageError, match="not a file"):
        load_model(tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.tflite"
    for content in (b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
            load_model(path)


def test_a_file_cut_short_is_refused(cut_short: Path) -> None:
    with pytest.raises(ModelError, match="cut short"):
        load_model(cut_short)


def test_the_manifest_is_read_and_must_be_of_this_model(small: Path) -> None:
    model = load_model(small)
    assert model.manifest is not None
    assert model.manifest.name == "small"
    content = bytearray(small.read_bytes())
    place = content.index(b"serving_default") if b"serving_default" in content else 200
    content[place] ^= 1
    small.write_bytes(content)
    with pytest.raises(ModelError):
        load_model(small)


def test_tiles_without_a_manifest_take_safe_defaults(models: Path, tmp_path: Path) -> None:
    model = load_model(shutil.copy(models / "small_80x64_int8.tflite", tmp_path))
    assert model.reach is None
    assert model.stride == 8
    assert model.overlap == 64 // 4
    odd = replace(model, height=36, width=60)
    assert odd.stride == 4
    large = replace(model, height=512, width=512)
    assert large.overlap == 32


def test_tiles_follow_the_receptive_field(small: Path) -> None:
    model = load_model(small)
    assert model.manifest is not None
    # A pixel at the edge of a 2x2 block sees a whole block of the other side and its own: less than 4 pixels.
    assert (model.stride, model.reach, model.overlap) == (2, 4, 8)
    wide = replace(model, manifest=replace(model.manifest, receptive_field=100))
    assert wide.overlap == 32 // 4
    narrow = replace(model, height=256, width=256)
    assert narrow.overlap == 8


@pytest.mark.parametrize(
    "change", [{"width": 64}, {"height": 16}, {"channels": 1}, {"stride": 7}, {"stride": 64}], ids=str
)
def test_a_manifest_that_tells_another_size_or_a_stride_that_does_not_fit_is_refused(
    small: Path, change: dict[str, int]
) -> None:
    content = small.read_bytes()
    manifest = extract_manifest(content)
    assert manifest is not None
    small.write_bytes(attach_manifest(content, replace(manifest, **change)))
    with pytest.raises(ModelError, match=r"size in a manifest must be that of its graph.*Received: .*small.*Remedy"):
        load_model(small)


@pytest.mark.parametrize(
    "told",
    [
        {"input": Quant("uint8", 1 / 255, -128)},
        {"input": Quant("int8", 1 / 255, 0)},
        {"output": Quant("int8", 1 / 128, -128)},
    ],
    ids=str,
)
def test_a_manifest_that_tells_other_ends_is_refused(models: Path, tmp_path: Path, told: dict[str, Quant]) -> None:
    path = with_manifest(models, tmp_path, "small_32x32_int8", **told)
    with pytest.raises(ModelError, match=r"Type and scale in a manifest must be .*Received: .*Remedy"):
        load_model(path)
    right = Quant("int8", float(np.float32(1 / 255)), -128)
    assert load_model(with_manifest(models, tmp_path, "small_32x32_int8", input=right, output=right)).is_int8


def test_a_stride_of_the_whole_side_leaves_no_overlap(models: Path, tmp_path: Path) -> None:
    model = load_model(with_manifest(models, tmp_path, "small_32x32_int8", stride=32, receptive_field=6))
    assert model.overlap == 0
    with Denoiser(model, 1) as denoiser:
        assert denoiser.denoise(picture(50, 60)).shape == (50, 60, 3)


def test_a_model_that_needs_gigabytes_is_refused_before_native_code_sees_it(models: Path, tmp_path: Path) -> None:
    content = bytearray((models / "small_32x32_int8.tflite").read_bytes())
    content[2635] ^= 2  # a tensor that is 8 GiB now
    path = tmp_path / "large.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"tensors that fit into 68 MiB at its size.*8192 MiB for 32x32"):
        load_model(path)
