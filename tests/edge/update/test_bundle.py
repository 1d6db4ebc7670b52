"""A bundle's folder: what is read is what was written, and everything else is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.network.interpreter import Interpreter
from edge.update.bundle import Bundle, parse_settings, read_bundle
from edge.update.contents import Bounds, BundleModel, Contents, FileEntry, Golden, parse_contents
from edge.update.golden_frames import denoise_frames
from fuzz.mutate import mutate_json
from quietcam.errors import ModelError, UpdateError
from quietcam.files.strict_json import dump_json, parse_object
from tests.edge.update.bundles import write_contents


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "bundle"))


def test_a_bundle_is_read_as_it_was_written(built: Path) -> None:
    bundle = read_bundle(built)
    assert bundle.id == "small-1"
    assert bundle.model() == built / "models/small_32x32_int8.tflite"
    assert bundle.model("coral") is None
    assert bundle.settings == {"strength": 0.5}
    still, clip = bundle.golden_of(bundle.contents.models[0])
    assert (still.is_clip, clip.is_clip, clip.shape) == (False, True, (3, 32, 32, 3))
    assert parse_contents(bundle.contents.to_bytes()) == bundle.contents


def test_golden_frames_are_what_the_model_gives_here(built: Path) -> None:
    bundle = read_bundle(built)
    model = bundle.contents.models[0]
    with Interpreter(bundle.path_of(model)) as interpreter:
        for golden in bundle.golden_of(model):
            noisy, denoised = bundle.frames(golden)
            assert noisy.shape == golden.shape
            for frame, expected in zip(noisy, denoised, strict=True):  # a still network: frame by frame
                out = np.empty_like(frame)
                interpreter.run(np.ascontiguousarray(frame), out)
                assert np.array_equal(out, expected)


def test_a_video_network_remembers_within_a_clip(models: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    with Interpreter(models / "video_64x64_int8.tflite") as interpreter:
        whole = denoise_frames(interpreter, noisy)
        assert np.array_equal(whole[:1], denoise_frames(interpreter, noisy[:1]))
        assert not np.array_equal(whole[1:2], denoise_frames(interpreter, noisy[1:2]))
        with pytest.raises(ModelError, match="65x64x3 for a model of 64x64x3"):
            denoise_frames(interpreter, np.zeros((1, 64, 65, 3), np.uint8))


def altered(folder: Path) -> None:
    path = folder / "models/small_32x32_int8.tflite"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def grown(folder: Path) -> None:
    with (folder / "golden/0_noisy.rgb").open("ab") as file:
        file.write(b"x")


def linked(folder: Path) -> None:
    path = folder / "golden/0_noisy.rgb"
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def piped(folder: Path) -> None:
    (folder / "golden/0_noisy.rgb").unlink()
    os.mkfifo(folder / "golden/0_noisy.rgb")


SPOILERS = {
    "SHA-256": altered,
    "instead of 3072": grown,
    "no plain file": linked,
    "no plain": piped,
    "not named in it": lambda folder: (folder / "models/more.tflite").touch(),
    "'stray' is not named": lambda folder: (folder / "stray").mkdir(),
    "is missing": lambda folder: (folder / "golden/0_noisy.rgb").unlink(),
    "'models' is not named|missing": lambda folder: (folder / "models").rename(folder / "other"),
    "No such file": lambda folder: (folder / "bundle.json").unlink(),
    "no JSON": lambda folder: (folder / "bundle.json").write_text("{"),
}


@pytest.mark.parametrize("why", SPOILERS)
def test_a_folder_that_differs_is_refused(folder: Path, why: str) -> None:
    SPOILERS[why](folder)
    with pytest.raises(UpdateError, match=why):
        read_bundle(folder)


def test_frames_that_change_after_the_check_are_noticed(folder: Path) -> None:
    bundle = read_bundle(folder)
    grown(folder)
    with pytest.raises(UpdateError, match="instead of"):
        bundle.frames(bundle.contents.golden[0])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("strength = 2", "strength that is not a number"),
        ("gate = 1", "gate that is not true or false"),
        ("threads = true", "threads that is not a whole number"),
        ("strength = nan", "strength"),
        ('on_event = "rm"', "the key 'on_event'"),
        ("strength = ", "Invalid value"),
    ],
)
def test_settings_that_a_bundle_may_not_make_are_refused(text: str, why: str) -> None:
    with pytest.raises(UpdateError, match=why):
        parse_settings(text.encode())
    assert parse_settings(b"strength = 1\nladder = false\n") == {"strength": 1, "ladder": False}


HASH = "0" * 64
SMALLEST = Contents(
    "small",
    "1",
    (BundleModel("models/a.tflite"),),
    (Golden("models/a.tflite", "golden/n", "golden/d", (1, 2, 2, 3)),),
    {
        "models/a.tflite": FileEntry(9, HASH),
        "models/a.json": FileEntry(9, HASH),
        "golden/n": FileEntry(12, HASH),
        "golden/d": FileEntry(12, HASH),
    },
)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": "../up"}, "a bundle's name"),
        ({"version": "1-2"}, "its version"),
        ({"models": ()}, "at least one model"),
        ({"models": (BundleModel("models/../a.tflite"),)}, "golden frames belong|a file is|each model"),
        ({"models": (BundleModel("models/a.tflite", "gpu"),)}, "cpu or coral"),
        ({"models": SMALLEST.models * 2}, "twice"),
        ({"golden": ()}, "needs a golden frame"),
        ({"golden": (replace(SMALLEST.golden[0], shape=(0, 2, 2, 3)),)}, "golden frames are"),
        ({"golden": (replace(SMALLEST.golden[0], shape=(1, 2, 2, 4)),)}, "1 or 3 channels"),
        ({"golden": (replace(SMALLEST.golden[0], shape=(2, 2, 2, 3)),)}, "must have 24 bytes"),
        ({"files": {**SMALLEST.files, "models/b": FileEntry(1, HASH)}}, "'models/b' is not in use"),
        ({"files": {**SMALLEST.files, "/etc/passwd": FileEntry(1, HASH)}}, "a file is models/NAME"),
        ({"files": {**SMALLEST.files, "golden/n": FileEntry(12, "0")}}, "SHA-256"),
        ({"files": {**SMALLEST.files, "golden/n": FileEntry(-1, HASH)}}, "size|bytes"),
        ({"has_settings": True}, "'settings.toml' is missing"),
        ({"bounds": Bounds(least_db=-1)}, "never negative"),
        ({"bounds": Bounds(most_ms=0)}, "above 0"),
    ],
)
def test_contents_that_do_not_fit_together_are_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(SMALLEST, **changed)


@given(st.randoms(use_true_random=False))
def test_any_change_to_the_contents_gives_contents_or_our_error(random: Any) -> None:
    values = mutate_json(random, parse_object(SMALLEST.to_bytes()))
    try:
        contents = parse_contents(dump_json(values).encode())
    except UpdateError:
        return
    assert isinstance(contents, Contents)
    assert parse_contents(contents.to_bytes()) == contents


@given(st.binary(max_size=200))
def test_any_bytes_give_our_error(content: bytes) -> None:
    with pytest.raises(UpdateError):
        parse_contents(content)
    with contextlib.suppress(UpdateError):
        parse_settings(content)


def test_an_unknown_bound_is_refused_since_a_device_cannot_hold_it(folder: Path) -> None:
    values = parse_object((folder / "bundle.json").read_bytes())
    values["bounds"]["most_watts"] = 3
    with pytest.raises(UpdateError, match="most_watts"):
        parse_contents(dump_json(values).encode())


def test_a_bundle_with_a_newer_format_asks_for_a_newer_quietcam(folder: Path) -> None:
    values = parse_object((folder / "bundle.json").read_bytes()) | {"format": 2}
    with pytest.raises(UpdateError, match="newer quietcam"):
        parse_contents(dump_json(values).encode())


def test_contents_written_anew_are_read(folder: Path) -> None:
    bundle = read_bundle(folder)
    write_contents(folder, replace(bundle.contents, version="2", bounds=Bounds(60.0, 28.0, 40.0, 300.0)))
    again = read_bundle(folder)
    assert isinstance(again, Bundle)
    assert (again.id, again.contents.bounds.most_ms) == ("small-2", 40.0)
