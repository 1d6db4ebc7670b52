"""What clips are made of: generated scenes, still pictures, or stretches of real videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quietcam.data.clips.clip import VIDEO_STEP
from quietcam.data.frames import CleanFrames, Softening, cut_square
from quietcam.data.generated import WALL_SHARE
from quietcam.data.pictures.formats import is_picture
from quietcam.data.video import open_video
from quietcam.errors import DataError
from quietcam.files.paths import is_dir
from quietcam.image import Image
from quietcam.sensor.motion import Instant, Stills, draw_plan, play
from quietcam.sensor.scenes import generate_scene, generate_wall

__all__ = ["VIDEO_SUFFIXES", "ClipSource", "Footage"]

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".mjpg", ".mjpeg"}
)

_FIRST_SCENE = 1 << 24  # seeds of generated scenes: those of pairs lie below
_SCENES_OF_A_CLIP = 20
_GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Footage:
    """The clean side of one clip, before a camera films it.

    Attributes:
        instants: its frames.
        step: as ``quietcam.sensor.filming.film`` takes it.
        scene: what splits keep together: the name of the picture or video; empty where nothing else shows this.
        told: what moves in it, for people.
    """

    instants: Iterable[Instant]
    step: int = 1
    scene: str = ""
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClipSource:
    """Where clips come from.

    Attributes:
        frames: of a clip.
        size: of a frame, pixels a side.
        pictures: a folder of still pictures, or None.
        videos: the videos.
        walls: whether some generated scenes are walls at night, see ``quietcam.data.generated.WALL_SHARE``.
    """

    frames: int
    size: int
    pictures: CleanFrames | None = None
    videos: tuple[CleanFrames, ...] = ()
    walls: bool = False

    @classmethod
    def open(cls, clean: Path | None, frames: int, size: int, *, walls: bool = False) -> ClipSource:
        """
        Args:
            clean: a folder of pictures or videos or both, one of either, or None for generated scenes.

        Raises:
            UsageError: nothing is there.
            DataError: nothing in it can be used, or a video has fewer frames than a clip.
            MissingExtraError: neither PyAV nor OpenCV is installed.
        """
        if clean is None:
            return cls(frames, size, walls=walls)
        if not is_dir(clean):
            found = CleanFrames.open(clean, size)
            return cls(frames, size, found) if found.pictures else cls(frames, size, None, (_long(found, frames),))
        videos = sorted(path for path in clean.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
        opened = tuple(_long(CleanFrames.open(path, size), frames) for path in videos if path.name[0] != ".")
        pictures = any(is_picture(path) for path in clean.iterdir())
        return cls(frames, size, CleanFrames.open(clean, size) if pictures or not opened else None, opened)

    def footage(self, number: int) -> Footage:
        """The clip of that number. Where there are pictures and videos, half of the clips are of either.

        Raises:
            DataError: a picture or a video cannot be decoded.
        """
        rng = np.random.Generator(np.random.PCG64([number, 9]))
        if self.videos and (self.pictures is None or rng.random() < 0.5):
            return self._stretch(number, rng)
        plan = draw_plan(rng, self.frames, self.size)
        if self.pictures is None:
            wall = self.walls and np.random.Generator(np.random.PCG64([number, 13])).random() < WALL_SHARE
            still = _generated(number, generate_wall if wall else generate_scene)
            return Footage(play(plan, still, number), told=plan.to_dict())
        picture, name = self.pictures.read_named(number)
        soft = Softening.draw(picture, self.size, rng).soften(picture)
        return Footage(play(plan, _parts_of(soft, number), number), scene=name, told=plan.to_dict())

    def _stretch(self, number: int, rng: np.random.Generator) -> Footage:
        """Frames that follow each other in a video."""
        video = self.videos[number % len(self.videos)]
        # The golden ratio spreads any count of stretches evenly over the length.
        first = int((number * _GOLDEN) % 1.0 * (video.length - self.frames + 1))
        scenes = list(_cut_stretch(video.source, first, self.frames, self.size, rng))
        instants = [Instant(scene, scene, index == 0) for index, scene in enumerate(scenes)]
        return Footage(instants, VIDEO_STEP, video.source.name, {"video": video.source.name, "first": first})


def _generated(number: int, generate: Callable[[int, int, int], Image]) -> Stills:
    def still(index: int, side: int) -> Image:
        seed = _FIRST_SCENE + number * _SCENES_OF_A_CLIP + index
        return generate(max(16, side), max(16, side), seed)

    return still


def _parts_of(picture: Image, number: int) -> Stills:
    """Stills of one picture alone, so that no clip shows what another picture shows: mirrored, from anywhere in it."""

    def still(index: int, side: int) -> Image:
        rng = np.random.Generator(np.random.PCG64([number, 12, index]))
        turned = picture[:: 1 - 2 * (index // 10 % 2), :: 1 - 2 * (index % 2)]
        return cut_square(turned, side, rng)

    return still


def _cut_stretch(path: Path, first: int, count: int, size: int, rng: np.random.Generator) -> Iterator[Image]:
    """Clean scenes of frames that follow each other, all cut out at one place."""
    with open_video(path) as video:
        video.seek(first)
        softening: Softening | None = None
        shape, seed = (0, 0), int(rng.integers(2**31))
        for index in range(count):
            read = video.read()
            if read is None:
                raise DataError(
                    f"A video must decode to its end. Received: {path}, which fails at frame {first + index}. "
                    "Remedy: take this video out, or write it anew, for example with: ffmpeg -i FILE out.mp4"
                )
            frame = read[0]
            if softening is None:
                softening, shape = Softening.draw(frame, size, rng), frame.shape[:2]
            if frame.shape[:2] != shape:
                raise DataError(
                    f"The frames of a video must have one size. Received: {path}, which changes at frame "
                    f"{first + index}. Remedy: cut it into two videos there."
                )
            place = np.random.Generator(np.random.PCG64(seed))
            yield cut_square(softening.soften(frame), size, place)


def _long(video: CleanFrames, frames: int) -> CleanFrames:
    if video.length < frames:
        raise DataError(
            f"A video must have as many frames as a clip. Received: {video.source} with {video.length}, for clips of "
            f"{frames}. Remedy: fewer `frames`, or take this video out."
        )
    return video
