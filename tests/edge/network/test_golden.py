"""The golden frame: a model's output on the machine that made it, compared with its output here."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.doctor.machine import Machine
from edge.doctor.models import check_models
from edge.models import resolve_model
from edge.network.golden import SIDE, TOLERANCE, check_golden, make_golden
from edge.network.interpreter import Interpreter
from quietcam.errors import ModelError
from quietcam.tflite.manifest import attach_manifest, extract_manifest, strip_manifest
from tests.small_models import with_manifest

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'edge'")


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with Interpreter(resolve_model("demo_256x256_int8"), 1) as interpreter:
        return make_golden(interpreter)


def model_with(folder: Path, golden: dict[str, Any] | None) -> Path:
    """The shipped model under a manifest with that golden frame."""
    content = resolve_model("demo_256x256_int8").read_bytes()
    manifest = extract_manifest(content)
    assert manifest is not None
    path = folder / "with.tflite"
    path.write_bytes(attach_manifest(content, replace(manifest, golden=golden)))
    return path


def checked(path: Path) -> tuple[int, int] | None:
    with Interpreter(path, 1) as interpreter:
        return check_golden(interpreter)


def pixels(golden: dict[str, Any], key: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(golden[key]), np.uint8).reshape(golden["shape"])


def test_it_is_what_the_bare_network_makes_of_the_mirrored_picture(golden: dict[str, Any]) -> None:
    noisy = pixels(golden, "noisy")
    assert noisy.shape == (SIDE, SIDE, 3)
    frame = np.pad(noisy, ((0, 256 - SIDE), (0, 256 - SIDE), (0, 0)), "reflect")
    native = litert.Interpreter(model_content=strip_manifest(resolve_model("demo_256x256_int8").read_bytes()))
    native.allocate_tensors()
    native.set_tensor(native.get_input_details()[0]["index"], (frame.astype(np.int16) - 128).astype(np.int8)[None])
    native.invoke()
    out = native.get_tensor(native.get_output_details()[0]["index"])[0].astype(np.int16) + 128
    np.testing.assert_array_equal(pixels(golden, "denoised"), out[:SIDE, :SIDE])
    assert (
        np.abs(out[:SIDE, :SIDE] - noisy).mean() > 3
    )  # a picture that the network does not change would prove nothing


def test_how_far_it_is_off_is_told(golden: dict[str, Any], tmp_path: Path) -> None:
    assert checked(model_with(tmp_path, None)) is None
    assert checked(model_with(tmp_path, golden)) == (0, TOLERANCE)
    spoilt = pixels(golden, "denoised").astype(np.int16)
    spoilt[5, 6, 1] += 9 if spoilt[5, 6, 1] < 128 else -9
    text = base64.b64encode(spoilt.astype(np.uint8).tobytes()).decode()
    assert checked(model_with(tmp_path, golden | {"denoised": text})) == (9, TOLERANCE)


def test_a_video_network_must_give_the_noisy_picture_as_fused_frame(models: Path, tmp_path: Path) -> None:
    name, ends = "video_64x64_int8", {"inputs": ("history", "noisy"), "stride": 8}
    with Interpreter(models / f"{name}.tflite", 1) as interpreter:
        right = make_golden(interpreter)
    assert checked(with_manifest(models, tmp_path, name, golden=right, **ends)) == (0, TOLERANCE)
    spoilt = right | {"denoised": right["noisy"]}  # as of a model whose outputs have each other's name
    outputs = ("denoised", "history")
    off, _ = checked(with_manifest(models, tmp_path, name, golden=spoilt, outputs=outputs, **ends)) or (0, 0)
    assert off == np.abs(pixels(right, "denoised").astype(int) - pixels(right, "noisy")).max() > TOLERANCE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda golden: {key: value for key, value in golden.items() if key != "noisy"},
        lambda golden: golden | {"noisy": "no base64!"},
        lambda golden: golden | {"noisy": golden["noisy"][:400]},
        lambda golden: golden | {"shape": [512, 2, 3]},
        lambda golden: golden | {"tolerance": None},
        lambda golden: golden | {"shape": 3},
    ],
)
def test_what_is_no_golden_frame_is_refused_with_a_remedy(
    golden: dict[str, Any], tmp_path: Path, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    with pytest.raises(ModelError, match=r"golden frame.*Received.*Remedy"):
        checked(model_with(tmp_path, spoil(golden)))


def test_the_doctor_runs_it(golden: dict[str, Any], tmp_path: Path) -> None:
    def severities(path: Path) -> list[str]:
        return [each.severity for each in check_models(Machine(models=lambda: [path]))]

    assert severities(model_with(tmp_path, golden)) == ["ok"]
    assert severities(model_with(tmp_path, golden | {"denoised": golden["noisy"]})) == ["error"]
    assert severities(model_with(tmp_path, None)) == []
    assert check_models(Machine(models=lambda: [tmp_path / "none"], version=lambda _: None)) == []
