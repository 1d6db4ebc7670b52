"""Clips that are made: the same by the same seed, resumable, from scenes, pictures and videos."""

from __future__ import annotations

import importlib.util
import json
import shutil

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from quietcam.app.cli import app
from quietcam.data.clips.clip import load_clips
from quietcam.data.clips.make import make_clip, write_clips
from quietcam.data.clips.sources import ClipSource
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import DataError, UsageError
from quietcam.sensor.noise import SensorNoise
from quietcam.sensor.scenes import generate_scene


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()}


@pytest.fixture
def video(tmp_path):
    """Eight frames, number n gray n * 25, with a white square on the first half of each."""
    folder = tmp_path / "videos"
    folder.mkdir()
    writer = cv2.VideoWriter(str(folder / "ramp.webm"), cv2.VideoWriter.fourcc(*"VP80"), 25, (160, 128))
    assert writer.isOpened()
    for number in range(8):
        frame = np.full((128, 160, 3), 25 * number + 20, np.uint8)
        frame[40:90, 20:70] = 255
        writer.write(frame)
    writer.release()
    (folder / "LICENSE").write_text("no picture")
    return folder / "ramp.webm"


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs the extra 'video'")
def test_clips_are_found_and_come_out_the_same_again(tmp_path):
    for name in ("once", "again"):
        write_clips(tmp_path / name, count=2, frames=4, size=48, seed=7, all_cameras=True)
    assert contents(tmp_path / "once") == contents(tmp_path / "again")
    clips = load_clips(tmp_path / "once")
    assert [(clip.name, len(clip)) for clip in clips] == [("clip_000007", 4), ("clip_000008", 4)]
    frames, _, _ = make_clip(7, ClipSource.open(None, 4, 48, walls=True), all_cameras=True)
    read = clips[0].read()
    for index, frame in enumerate(frames):
        for side in ("noisy", "clean", "moving"):
            assert np.array_equal(getattr(read, side)[index], getattr(frame, side))


def test_an_interrupted_set_is_completed_and_nothing_else_is_mixed_in(tmp_path):
    write_clips(tmp_path, count=2, frames=3, size=32)
    whole = contents(tmp_path)
    shutil.rmtree(tmp_path / "clip_000001")
    (tmp_path / ".clip_000001" / "noisy").mkdir(parents=True)  # of a run that was killed
    write_clips(tmp_path, count=2, frames=3, size=32)
    assert contents(tmp_path) == whole
    for options in ({"frames": 4}, {"size": 48}, {"noise": SensorNoise(0.01, 1e-4)}):
        with pytest.raises(DataError, match=r"Clips can be added .*there, .* asked for"):
            write_clips(tmp_path, count=3, **({"frames": 3, "size": 32} | options))
    with pytest.raises(DataError, match="no other clips"):
        write_clips(tmp_path, count=1, frames=3, size=32, seed=50)
    assert contents(tmp_path) == whole


def test_a_stretch_of_a_video_is_the_clean_side(video):
    source = ClipSource.open(video, 4, 48)
    frames, footage, _ = make_clip(3, source, noise=SensorNoise(0.0, 0.0))
    assert (footage.scene, footage.told["video"]) == ("ramp.webm", "ramp.webm")
    first = footage.told["first"]
    assert 0 <= first <= 4
    scenes = [instant.scene for instant in source.footage(3).instants]
    for index, scene in enumerate(scenes):
        assert float(np.median(scene[..., 1])) in (255, pytest.approx(25 * (first + index) + 20, abs=4))
    assert len(frames) == 4
    assert frames[0].moving.all()
    with pytest.raises(DataError, match=r"as many frames as a clip\. Received: .*with 8, for clips of 9\. Remedy"):
        ClipSource.open(video, 9, 48)


def test_clips_of_one_picture_or_video_are_one_scene(tmp_path, video):
    write_picture(video.parent / "a.png", generate_scene(128, 128, 1))
    write_picture(video.parent / "b.png", generate_scene(128, 128, 2))
    write_clips(tmp_path / "clips", count=8, frames=3, size=32, clean=video.parent)
    scenes = {clip.scene for clip in load_clips(tmp_path / "clips")}
    assert scenes == {"a.png", "b.png", "ramp.webm"}
    told = json.loads((tmp_path / "clips" / "clip_000000" / "clip.json").read_text())
    assert set(told) == {"scene", "seed", "frames", "motion", "camera"}


def test_the_command_makes_clips_and_a_sheet(tmp_path):
    out, sheet = tmp_path / "clips", tmp_path / "sheet.png"
    words = ["data", "generate", "--clips", "--out", str(out), "--count", "3", "--frames", "3", "--size", "96"]
    done = CliRunner().invoke(app, [*words, "--sheet", str(sheet)])
    assert done.exit_code == 0, done.output
    drawn = read_picture(sheet)
    assert drawn.shape == (2 * (3 * 96 + 32), 2 * 8 * 96, 3)
    frames = load_clips(out)[1].read()
    assert np.array_equal(drawn[:96, 8 * 96 + 96 : 8 * 96 + 192], frames.noisy[1])
    assert np.array_equal(drawn[96:192, 8 * 96 : 8 * 96 + 96], frames.clean[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--frames", "4"], "--frames needs --clips"),
        (["--clips", "--aliased"], "--clips cannot be combined with --aliased"),
        (["--clips", "--band", "20:30"], "--clips cannot be combined with --band"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, words, said):
    done = CliRunner().invoke(app, ["data", "generate", "--out", str(tmp_path / "x"), *words])
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
