"""Clips and contenders whose frames are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from compare.clips.clip import ComparedClip, Shot
from compare.clips.contender import ClipContender
from quietcam.image import Image

__all__ = ["FakeClip", "FakeContender", "clip_of", "flat", "walking_square"]


class FakeClip(ComparedClip):
    """Frames that are in memory."""

    def __init__(self, shots: Sequence[Shot], name: str = "clip") -> None:
        self.name, self.length, self._shots = name, len(shots), list(shots)

    def shots(self) -> Iterator[Shot]:
        return iter(self._shots)


class FakeContender(ClipContender):
    """Makes of the frames what ``make`` makes of them."""

    def __init__(self, name: str, make: Callable[[Iterator[Image]], Iterator[Image]], kind: str = "classic") -> None:
        self.name = self.title = name
        self.kind, self._make = kind, make

    def denoise(self, frames: Iterator[Image]) -> Iterator[Image]:
        return self._make(frames)

    def time(self, frames: Sequence[Image], threads: int) -> list[float]:  # noqa: ARG002
        return [0.002] * len(frames)


def flat(value: int, size: int = 16) -> Image:
    """A picture of one value, uint8 ``(size, size, 3)``."""
    return np.full((size, size, 3), value, np.uint8)


def clip_of(clean: Sequence[Image], cuts: Sequence[int] = (), name: str = "clip") -> FakeClip:
    """A clip whose noisy frames are 10 steps too light. What moves is where clean frames differ at all."""
    shots = []
    for number, frame in enumerate(clean):
        fresh = number == 0 or number in cuts
        moving = np.ones(frame.shape[:2], bool) if fresh else (frame != clean[number - 1]).any(axis=2)
        shots.append(Shot(frame + np.uint8(10), frame, moving, number in cuts))
    return FakeClip(shots, name)


def walking_square(frames: int, size: int = 48, side: int = 12, step: int = 4) -> NDArray[np.uint8]:
    """A light square that walks to the right over a dark ground and leaves: uint8 ``(frames, size, size, 3)``."""
    clean = np.full((frames, size, size, 3), 60, np.uint8)
    for number in range(frames):
        clean[number, 8 : 8 + side, step * number : step * number + side] = 180
    return clean
