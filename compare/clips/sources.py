"""Where compared clips come from: a data set of clips, or clean videos that a simulated camera films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from compare.clips.clip import ComparedClip, Shot
from quietcam.data.clips.clip import VIDEO_STEP, Clip, load_clips
from quietcam.data.clips.make import phone_camera
from quietcam.data.clips.mark import MARK
from quietcam.data.clips.sources import VIDEO_SUFFIXES
from quietcam.data.frames import CleanFrames
from quietcam.data.sets.problems import log_problems
from quietcam.data.video import open_video
from quietcam.errors import DataError, JsonError, UsageError
from quietcam.files.paths import is_dir, is_file
from quietcam.files.strict_json import parse_object
from quietcam.image import Image
from quietcam.sensor.camera_kinds import DrawnCamera
from quietcam.sensor.filming import film
from quietcam.sensor.motion import Instant
from quietcam.sensor.noise import sensor as sensor_noise

__all__ = ["FRAMES", "ClipSet", "DataSetClip", "FilmedVideo", "open_clips"]

FRAMES = 60
"""Frames of a video that are compared where nothing else is said."""

_AT_ONCE = 4  # frames of a data set that are in memory


@dataclass(frozen=True)
class ClipSet:
    """Clips to compare on.

    Attributes:
        data: where they come from. noise: of which camera; None where the data set has it.
        problems: clips that were left out, and why.
    """

    clips: list[ComparedClip]
    data: str
    noise: str | None = None
    problems: list[str] = field(default_factory=list)


def open_clips(
    place: Path,
    *,
    split: str = "all",
    limit: int | None = None,
    frames: int | None = None,
    start: float | None = None,
    sensor: str | None = None,
    gain: float | None = None,
    seed: int = 0,
) -> ClipSet:
    """Find clips. No frame is kept.

    Args:
        place: a data set of clips (``quietcam.data.clips.clip``), a clean video, or a folder of clean videos.
        split: of a data set: ``all``, ``train``, ``validation`` or ``test``.
        limit: the most clips, evenly spread. Defaults to all.
        frames: the most frames of each clip, 2 or more. Defaults to all of a data set's clip, and 60 of a video.
        start: seconds of each video that are left out. Defaults to 0.
        sensor: the camera whose noise clean videos get, as ``imx219``. gain: its analog gain. Defaults to 1.
        seed: decides the camera's pipeline and fixed pattern, which all videos share, and the noise. The noise of the
            videos has the seeds ``seed``, ``seed + 1`` and so on.

    Raises:
        UsageError: there is nothing at ``place``, or the other arguments do not fit what is there.
        DataError: no clip can be used, or a video is too short.
        MissingExtraError: neither PyAV nor OpenCV is installed.
    """
    if frames is not None and frames < 2:
        raise UsageError(f"A clip has 2 frames or more. Received: frames={frames}. Remedy: give `frames` 2 or more.")
    if gain is not None and sensor is None:
        raise UsageError(f"`gain` needs `sensor`. Received: gain={gain:g} alone. Remedy: add `sensor`, as in imx219.")
    videos = _videos(place)
    if not videos:
        if is_dir(place) and not any(place.rglob(MARK)):
            raise DataError(
                f"Clips must come from clean videos, or from a data set of clips. Received: {place}, which holds no "
                f"video and no {MARK}. Remedy: put videos there, or make clips: quietcam data generate --clips "
                "--out FOLDER"
            )
        _refuse_for_data_set(place, sensor=sensor, start=start)
        found = load_clips(place, split=split)
        clips: list[ComparedClip] = [DataSetClip(clip, frames) for clip in found]
        name = place.resolve().name
        data = name if split == "all" else f"{name} ({split} scenes)"
        return ClipSet(_spread(clips, limit), data, problems=found.problems)
    if sensor is None:
        raise UsageError(
            f"A clean video needs `sensor`, the camera whose noise it gets. Received: {place} alone. Remedy: for "
            "example `sensor=imx219` and `gain=24`, or give clips that are noisy already: a folder with clip.json."
        )
    if split != "all":
        raise UsageError(
            f"`split` chooses clips of a data set. Received: split={split} for the video {videos[0].name}. "
            "Remedy: leave it out."
        )
    noise = sensor_noise(sensor, 1.0 if gain is None else gain)
    filmed, problems = _filmed(videos, phone_camera(seed, noise), seed, frames or FRAMES, start or 0.0)
    told = f"{sensor} at gain {1.0 if gain is None else gain:g}"
    return ClipSet(_spread(filmed, limit), place.resolve().name, told, problems)


class DataSetClip(ComparedClip):
    """A clip of a data set, read a few frames at a time.

    Args:
        frames: its first frames alone. Defaults to all.
    """

    def __init__(self, clip: Clip, frames: int | None = None) -> None:
        self.name, self.length = clip.name, min(len(clip), frames or len(clip))
        self._clip = clip
        self._cuts = _known_cuts(clip)

    def shots(self) -> Iterator[Shot]:
        """Its frames. A cut is where ``clip.json`` says so, or else where all of a frame moves, and not all of the
        frame before."""
        shape: tuple[int, ...] | None = None
        whole_before = True
        for first in range(0, self.length, _AT_ONCE):
            read = self._clip.read(first, min(_AT_ONCE, self.length - first))
            if shape not in (None, read.noisy.shape[1:]):
                raise DataError(_sizes(self.name, first, read.noisy[0].shape, shape or ()))
            shape = read.noisy.shape[1:]
            for index in range(len(read)):
                whole, number = bool(read.moving[index].all()), first + index
                known = self._cuts is not None and number in self._cuts
                cut = number > 0 and (known or (self._cuts is None and whole and not whole_before))
                whole_before = whole
                yield Shot(read.noisy[index], read.clean[index], read.moving[index], cut)


class FilmedVideo(ComparedClip):
    """Frames of a clean video, of its own size, which a simulated camera films: as clips are made.

    Args:
        seed: decides the noise of each frame.
        frames: the most frames. start: seconds from which on.

    Raises:
        DataError: it cannot be read, or fewer than 2 frames are there from ``start`` on.
    """

    def __init__(self, path: Path, camera: DrawnCamera, seed: int, frames: int, start: float = 0.0) -> None:
        self.name, self._path = path.name, path
        self._camera, self._seed = camera, seed
        total = CleanFrames.open(path).length
        with open_video(path) as video:
            self._first = round(start * (video.fps or 25.0))
        self.length = min(frames, total - self._first)
        if self.length < 2:
            raise DataError(
                f"A clip has 2 frames or more. Received: {path} with {total}, less the first {self._first}. "
                "Remedy: a smaller `start`, or another video."
            )

    def shots(self) -> Iterator[Shot]:
        """Its frames, each with fresh noise, and the same in each call."""
        instants = (Instant(frame, frame, index == 0) for index, frame in enumerate(self._frames()))
        for frame in film(instants, self._camera, self._seed, step=VIDEO_STEP):
            yield Shot(frame.noisy, frame.clean, frame.moving)

    def _frames(self) -> Iterator[Image]:
        with open_video(self._path) as video:
            video.seek(self._first)
            shape: tuple[int, ...] | None = None
            for index in range(self.length):
                read = video.read()
                if read is None:
                    raise DataError(
                        f"A video must decode to its end. Received: {self._path}, which fails at frame "
                        f"{self._first + index}. Remedy: fewer `frames`, or write it anew: ffmpeg -i FILE out.mp4"
                    )
                if shape not in (None, read[0].shape):
                    raise DataError(_sizes(str(self._path), self._first + index, read[0].shape, shape or ()))
                shape = read[0].shape
                yield read[0]


def _videos(place: Path) -> list[Path]:
    """The videos at a place; none where a data set of clips is there.

    Raises:
        UsageError: nothing is there.
    """
    if is_dir(place):
        found = (path for path in place.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.name[0] != ".")
        return sorted(path for path in found if is_file(path))
    if not is_file(place):
        raise UsageError(
            f"Clips must come from a data set of clips, a video or a folder of videos. Received: {place}, which does "
            "not exist. Remedy: check the path."
        )
    return [] if place.suffix.lower() == ".zip" else [place]


def _filmed(
    videos: list[Path], camera: DrawnCamera, seed: int, frames: int, start: float
) -> tuple[list[ComparedClip], list[str]]:
    """The videos that can be used as clips, and what is wrong with the others: one line each.

    Raises:
        DataError: none can be used.
    """
    filmed: list[ComparedClip] = []
    errors: list[DataError] = []
    for index, path in enumerate(videos):
        try:
            filmed.append(FilmedVideo(path, camera, seed + index, frames, start))
        except DataError as error:
            errors.append(error)
    if not filmed:
        raise errors[0]
    problems = [str(error) for error in errors]
    log_problems(problems, "of the videos")
    return filmed, problems


def _refuse_for_data_set(place: Path, **given: object) -> None:
    if wrong := [name for name, value in given.items() if value is not None]:
        raise UsageError(
            f"`{wrong[0]}` is for clean videos. Received: {wrong[0]}={given[wrong[0]]} for {place}, which holds no "
            "video. Remedy: leave it out, or give a clean video."
        )


def _spread(clips: list[ComparedClip], limit: int | None) -> list[ComparedClip]:
    """At most ``limit`` of them, evenly spread."""
    count = len(clips) if limit is None else min(limit, len(clips))
    return [clips[int(index)] for index in np.linspace(0, len(clips) - 1, count).round()]


def _known_cuts(clip: Clip) -> frozenset[int] | None:
    """The frames after a cut that ``clip.json`` of a generated clip names; None where it names none."""
    noisy = clip.pairs[0].noisy
    if not isinstance(noisy, Path):
        return None
    try:
        motion = parse_object((noisy.parents[1] / MARK).read_bytes()).get("motion")
    except (OSError, JsonError):
        return None
    cuts = motion.get("cuts") if isinstance(motion, dict) else None
    if not isinstance(cuts, list) or not all(isinstance(each, int) for each in cuts):
        return None
    return frozenset(cuts)


def _sizes(name: str, frame: int, one: tuple[int, ...], other: tuple[int, ...]) -> str:
    return (
        f"The frames of a clip must have one size. Received: {name}, where frame {frame} has {one[1]}x{one[0]} and "
        f"those before {other[1]}x{other[0]}. Remedy: make two clips of it."
    )
