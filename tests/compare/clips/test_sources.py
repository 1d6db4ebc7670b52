"""Clips to compare on: data sets, videos that a camera films, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from compare.clips.clip import Shot
from compare.clips.sources import DataSetClip, FilmedVideo, open_clips
from quietcam.data.clips.clip import load_clips
from quietcam.data.clips.make import phone_camera, write_clips
from quietcam.data.pictures.files import write_picture
from quietcam.data.video import open_video
from quietcam.errors import DataError, QuietcamError, UsageError
from quietcam.sensor.noise import sensor
from tests.compare.clips.fakes import flat, walking_square


def film(path: Path, frames: np.ndarray, fps: float = 10.0) -> Path:
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("videos") / "walk.avi", walking_square(20, size=96))


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "set"
    write_clips(folder, count=2, frames=7, size=64, seed=3)
    return folder


def write_clip(folder: Path, clean: list[np.ndarray], told: object) -> Path:
    """A clip of these frames, noisy as clean."""
    for number, frame in enumerate(clean):
        for side in ("noisy", "clean"):
            write_picture(folder / side / f"{number:04d}.png", frame)
    (folder / "clip.json").write_text(json.dumps(told))
    return folder


def cuts_of(shots: list[Shot]) -> list[int]:
    return [number for number, shot in enumerate(shots) if shot.cut]


def test_a_data_set_is_read_as_it_is(data_set: Path) -> None:
    found = open_clips(data_set, frames=5)
    assert (found.data, found.noise, [clip.length for clip in found.clips]) == ("set", None, [5, 5])
    for clip, known in zip(found.clips, load_clips(data_set), strict=True):
        whole = known.read(0, 5)
        for side in ("noisy", "clean", "moving"):
            stacked = np.stack([getattr(shot, side) for shot in clip.shots()])
            assert np.array_equal(stacked, getattr(whole, side)), side


def test_a_video_is_filmed_at_its_own_size_and_the_same_in_each_reading(video: Path) -> None:
    (clip,) = open_clips(video, sensor="imx219", gain=24.0, frames=6, start=0.5).clips
    shots, again = list(clip.shots()), list(clip.shots())
    assert (clip.name, clip.length, len(shots)) == ("walk.avi", 6, 6)
    assert shots[0].noisy.shape == (96, 96, 3)
    assert all(np.array_equal(one.noisy, other.noisy) for one, other in zip(shots, again, strict=True))
    assert not np.array_equal(shots[4].noisy, shots[5].noisy)
    assert shots[0].moving.all()
    assert 0 < shots[1].moving.mean() < 0.5
    assert cuts_of(shots) == []
    # Half a second of 10 frames a second is left out: the square stands where it stands in frame 5.
    with open_video(video) as reader:
        reader.seek(5)
        read = reader.read()
    assert read is not None
    column = int(read[0][12].mean(axis=1).argmax())
    assert abs(int(shots[0].clean[12].mean(axis=1).argmax()) - column) <= 12


def test_more_gain_is_more_noise_and_another_seed_is_another_noise(video: Path) -> None:
    def first(**options: object) -> Shot:
        return next(iter(open_clips(video, sensor="imx219", frames=2, **options).clips[0].shots()))  # type: ignore[arg-type]

    low, high = first(gain=1.0), first(gain=24.0)
    error = [float(np.square(shot.noisy.astype(float) - shot.clean).mean()) for shot in (low, high)]
    assert error[1] > 4 * error[0]
    assert not np.array_equal(high.noisy, first(gain=24.0, seed=1).noisy)


def test_a_folder_of_videos_is_a_clip_each(tmp_path: Path) -> None:
    for name in ("b.avi", "a.avi", "c.avi"):
        film(tmp_path / name, walking_square(4))
    (tmp_path / "LICENSE").write_text("free")
    found = open_clips(tmp_path, sensor="imx477", gain=8.0)
    assert [clip.name for clip in found.clips] == ["a.avi", "b.avi", "c.avi"]
    assert [clip.length for clip in found.clips] == [4, 4, 4]
    assert found.noise == "imx477 at gain 8"
    assert [clip.name for clip in open_clips(tmp_path, sensor="imx477", limit=2).clips] == ["a.avi", "c.avi"]


def test_a_video_that_cannot_be_used_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film(tmp_path / "a.avi", walking_square(1))
    film(tmp_path / "c.avi", walking_square(4))
    (tmp_path / "b.avi").write_text("no video")
    found = open_clips(tmp_path, sensor="imx219", seed=5)
    assert [clip.name for clip in found.clips] == ["c.avi"]
    assert ["a.avi" in found.problems[0], "b.avi" in found.problems[1], len(found.problems)] == [True, True, 2]
    assert "Skipped 2 of the videos" in caplog.text
    camera = phone_camera(5, sensor("imx219", 1.0))  # the same for all videos
    alone = FilmedVideo(tmp_path / "c.avi", camera, 7, 4)  # its noise has the seed of its place
    assert np.array_equal(next(found.clips[0].shots()).noisy, next(alone.shots()).noisy)


def test_cuts_are_those_that_the_clip_names(tmp_path: Path) -> None:
    scenes = [flat(100, 32)] * 3 + [flat(180, 32)] * 3
    told = write_clip(tmp_path / "told", scenes, {"motion": {"cuts": [3]}})
    told_none = write_clip(tmp_path / "none", scenes, {"motion": {"cuts": []}})
    untold = write_clip(tmp_path / "untold", scenes, {})
    clips = {folder.name: DataSetClip(next(iter(load_clips(folder)))) for folder in (told, told_none, untold)}
    assert {name: cuts_of(list(clip.shots())) for name, clip in clips.items()} == {
        "told": [3],
        "none": [],
        "untold": [3],
    }


def test_a_pan_is_no_cut(tmp_path: Path) -> None:
    stripes = np.tile(np.arange(0, 250, 25, dtype=np.uint8), 8)[None, :, None].repeat(32, 0).repeat(3, 2)
    folder = write_clip(tmp_path / "pan", [stripes[:, t : t + 32] for t in range(6)], {})
    assert cuts_of(list(DataSetClip(next(iter(load_clips(folder)))).shots())) == []


@pytest.mark.parametrize(
    ("place", "options", "error", "words"),
    [
        ("absent", {}, UsageError, "absent, which does not exist"),
        ("VIDEO", {}, UsageError, "A clean video needs `sensor`"),
        ("VIDEO", {"gain": 4.0}, UsageError, "`gain` needs `sensor`"),
        ("VIDEO", {"sensor": "imx1"}, UsageError, "imx219"),
        ("VIDEO", {"sensor": "imx219", "split": "test"}, UsageError, "`split` chooses clips of a data set"),
        ("VIDEO", {"sensor": "imx219", "start": 60.0}, DataError, "2 frames or more"),
        ("VIDEO", {"sensor": "imx219", "frames": 1}, UsageError, "`frames` 2 or more"),
        ("SET", {"sensor": "imx219"}, UsageError, "`sensor` is for clean videos"),
        ("SET", {"start": 1.0}, UsageError, "`start` is for clean videos"),
        ("one.avi", {"sensor": "imx219"}, DataError, "2 frames or more"),
        ("text.mp4", {"sensor": "imx219"}, DataError, "text.mp4"),
        ("empty", {}, DataError, "empty, which holds no video and no clip.json"),
        ("empty", {"sensor": "imx219"}, DataError, "empty, which holds no video and no clip.json"),
    ],
)
def test_what_cannot_be_compared_on_is_refused_in_one_line(
    video: Path,
    data_set: Path,
    tmp_path: Path,
    place: str,
    options: dict[str, object],
    error: type[QuietcamError],
    words: str,
) -> None:
    film(tmp_path / "one.avi", walking_square(1))
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    known = {"VIDEO": video, "SET": data_set}
    with pytest.raises(error) as caught:
        open_clips(known.get(place, tmp_path / place), **options)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Remedy" in str(caught.value) or "Known" in str(caught.value)


def test_frames_of_two_sizes_are_named(tmp_path: Path) -> None:
    frames = [flat(100, 32)] * 4 + [flat(100, 48)] * 4
    clip = DataSetClip(next(iter(load_clips(write_clip(tmp_path / "grows", frames, {})))))
    with pytest.raises(DataError, match=r"one size. Received: grows, where .*48x48 and .*32x32"):
        list(clip.shots())
