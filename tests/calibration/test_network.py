"""The float network that makes history: what it takes, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.network import open_network
from quietcam.app.cli import run
from quietcam.errors import ModelError, UsageError

MODELS = Path(__file__).parents[1] / "edge" / "models"


def noise(seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def test_without_a_past_the_noisy_frame_is_remembered() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'edge'")
    network = open_network(MODELS / "video_64x64_float32.tflite")
    assert (network.size, network.channels, network.remembers) == ((64, 64), 3, "history")
    frame = noise(0)
    np.testing.assert_array_equal(network.remember(frame, frame), frame)
    assert not np.array_equal(network.remember(frame, noise(1)), frame)


def test_a_run_remembers_as_its_keras_model(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs the extra 'train'")
    from dataclasses import replace

    from tests.tiny_network import TINY
    from train.model import build

    model: Any = build(replace(TINY, history=1))
    model.save(tmp_path / "model.keras")
    noisy, history = noise(0, 256), noise(1, 256)
    expected = model([noisy[None] / np.float32(255), history[None] / np.float32(255)])[1].numpy()[0]
    for path in (tmp_path, tmp_path / "model.keras"):
        network = open_network(path)
        assert (network.size, network.remembers, network.name) == ((256, 256), "history", tmp_path.name)
        difference = network.remember(noisy, history).astype(int) - np.rint(np.clip(expected, 0, 1) * 255)
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("small_32x32_float32.tflite", "a still network. Remedy: leave `model` out"),
        ("video_64x64_int8.tflite", r"with int8 1x64x64x3.*--recipe float32"),
        ("bad_inputs.tflite", "names its inputs noisy and history"),
    ],
)
def test_models_that_give_no_history_are_refused(model: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        open_network(MODELS / model)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.tflite"):
        with pytest.raises(UsageError, match=rf"Received: {path}, .*Remedy: convert the run"):
            open_network(path)
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ModelError):
        open_network(tmp_path / "text.tflite")


def test_the_command_says_it_in_one_line(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(MODELS / "small_32x32_float32.tflite", tmp_path / "still.tflite")
    words = ["calibrate", "--data", str(pictures), "--out", str(tmp_path / "rep.npz")]
    assert run([*words, "--model", str(tmp_path / "still.tflite")]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert "leave --model out" in line
