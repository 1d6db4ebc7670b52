"""The models that ship: finding and describing them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

import edge.models
from edge.models import default_model, describe, resolve_model, shipped_models, smaller_model
from quietcam.errors import UsageError


@pytest.fixture(autouse=True)
def _these_ship(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.models, "_HERE", shipped)


def test_a_path_a_stem_and_a_first_word_are_understood(small: Path) -> None:
    assert resolve_model(str(small)) == small
    assert resolve_model("demo_32x32_float32").name == "demo_32x32_float32.tflite"
    assert resolve_model("demo_80x64_int8.tflite").name == "demo_80x64_int8.tflite"
    assert resolve_model("demo").name == "demo_32x32_int8.tflite"


@pytest.mark.parametrize(
    ("size", "stem"),
    [
        ((80, 64), "demo_80x64_int8"),
        ((70, 60), "demo_80x64_int8"),
        ((32, 32), "demo_32x32_int8"),
        ((81, 64), "demo_32x32_int8"),
        ((40, 64), "demo_32x32_int8"),  # half of the other would be for nothing
    ],
)
def test_of_several_models_the_one_that_takes_the_frame_whole_is_chosen(size: tuple[int, int], stem: str) -> None:
    assert resolve_model(None, size).stem == resolve_model("demo", size).stem == stem
    assert resolve_model("demo_32x32_int8", size).stem == "demo_32x32_int8", "who names one gets it"


def test_the_default_is_the_best_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_model() == resolve_model("demo") == resolve_model(default_model())
    monkeypatch.undo()  # what really ships
    assert resolve_model() == resolve_model(default_model())
    assert resolve_model().stem.endswith("_int8")


def test_an_unknown_name_is_answered_with_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nano", "demo_1x1_int8", "nowhere/model.tflite"):
        with pytest.raises(UsageError, match="demo_32x32_float32, demo_32x32_int8, demo_80x64_int8"):
            resolve_model(name)
    monkeypatch.setattr(edge.models, "_HERE", tmp_path / "nothing")
    with pytest.raises(UsageError, match="none in this installation"):
        resolve_model("demo")


def test_a_path_that_is_none_of_a_model_is_answered_with_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tflite")
    (tmp_path / "loop.tflite").symlink_to(tmp_path / "loop.tflite")
    for wanted, why in {
        str(tmp_path): "it is a folder",
        str(tmp_path / "pipe.tflite"): "it is not a regular file",
        "/dev/zero": "it is not a regular file",
        str(tmp_path / "loop.tflite"): "Too many levels of symbolic links",
        "absent.tflite": "No such file or directory",
    }.items():
        with pytest.raises(UsageError, match=f"Received: {re.escape(wanted)}: {why}. Remedy: "):
            resolve_model(wanted)
    with pytest.raises(UsageError, match=r"Received: smalll\. Remedy: "):
        resolve_model("smalll")
    with pytest.raises(UsageError, match="Remedy: "):
        resolve_model("a\0b")


def test_describe_tells_what_the_manifest_says(shipped: Path) -> None:
    told = describe(shipped / "demo_32x32_int8.tflite")
    assert (told["width"], told["height"], told["psnr"], told["licence"]) == (32, 32, 31.25, "Apache-2.0")
    assert told["bytes"] == (shipped / "demo_32x32_int8.tflite").stat().st_size
    assert describe(shipped / "demo_80x64_int8.tflite")["psnr"] is None


def test_a_video_network_is_described_as_one(models: Path) -> None:
    assert describe(models / "video_64x64_int8.tflite")["history"] is True
    assert describe(models / "small_32x32_int8.tflite")["history"] is False


@pytest.mark.parametrize(
    ("one", "other", "is_taken"),
    [
        ("small_80x64_int8", "small_80x64_int8", True),
        ("video_64x64_int8", "video_64x64_int8", True),
        ("video_64x64_int8", "small_80x64_int8", True),
        ("small_80x64_int8", "video_64x64_int8", False),
    ],
)
def test_a_video_network_replaces_no_still_one(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one: str, other: str, is_taken: bool
) -> None:
    costs = {tmp_path / "one.tflite": 0.3, tmp_path / "other.tflite": 0.1}
    for path, name in zip(costs, (one, other), strict=True):
        shutil.copy(models / f"{name}.tflite", path)
    same = {"width": 80, "height": 64, "recipe": "int8"}
    monkeypatch.setattr(edge.models, "shipped_models", lambda: list(costs))
    monkeypatch.setattr(edge.models, "describe", lambda path: describe(path) | same | {"gmacs_256": costs[path]})
    large, small = costs
    assert smaller_model(large) == (small if is_taken else None)


def test_all_that_ships_can_be_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for path in shipped_models():
        told = describe(path)
        assert told["licence"], path
        assert path.stem.split("_")[1] == f"{told['width']}x{told['height']}"
