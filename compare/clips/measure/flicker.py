"""Flicker: how much pixels change over time where the scene stands still.

The frames after the burn-in are cut into stretches of equal length n, about 20 frames. A pixel stands still in one if
it never moves there, and if its clean values stay within 8 steps of 255 of those in the stretch's first frame: in a
slow pan each frame differs little from the one before. Every channel d of such a pixel has the standard deviation
``sqrt(sum((d_t - mean)^2) / (n - 1))`` over time, in steps of 255. Flicker is the mean of all of them. The flicker of
the clean frames themselves is not subtracted: it is reported as that of the clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from compare.clips.clip import Shot
from quietcam.image import Image
from quietcam.sensor.filming import Mask

__all__ = ["STAYS", "STRETCH", "Flicker", "apart"]

STRETCH = 20
"""Frames of a stretch, about."""

STAYS = 8
"""Steps of 255 by which clean values may change where a scene stands still: real videos have noise of their own."""


class Flicker:
    """Takes the frames of one clip after the burn-in, and what several contenders made of them.

    Args:
        frames: how many will come, 2 or more.
    """

    def __init__(self, frames: int) -> None:
        stretches = max(1, round(frames / STRETCH))
        self._length = frames // stretches
        self._count = 0
        self._still: Mask = np.empty(0, np.bool_)
        self._first: Image = np.empty(0, np.uint8)
        self._sums: dict[str, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}
        self._totals: dict[str, tuple[float, int]] = {}

    def add(self, shot: Shot, pictures: Mapping[str, Image]) -> None:
        """Add one frame: what each contender made of it, uint8 ``(H, W, C)`` by name."""
        if self._count == 0:  # whether its first frame moved does not matter: that was before the stretch
            self._still, self._first = np.ones(shot.moving.shape, np.bool_), shot.clean
            self._sums = {
                name: (np.zeros(each.shape, np.int32), np.zeros(each.shape, np.int32))
                for name, each in pictures.items()
            }
        else:
            self._still &= ~shot.moving
            self._still &= apart(shot.clean, self._first) <= STAYS
        for name, picture in pictures.items():
            total, squares = self._sums[name]
            wide = picture.astype(np.int32)
            total += wide
            squares += wide * wide
        self._count += 1
        if self._count == self._length:
            self._close()

    def result(self, name: str) -> float | None:
        """Steps of 255; None where nothing stood still for a whole stretch."""
        total, count = self._totals.get(name, (0.0, 0))
        return total / count if count else None

    def _close(self) -> None:
        n, self._count = self._count, 0
        for name, (total, squares) in self._sums.items():
            sums, powers = (each[self._still].astype(np.float64) for each in (total, squares))
            deviation = np.sqrt(np.maximum(powers - sums * sums / n, 0.0) / (n - 1))
            before, count = self._totals.get(name, (0.0, 0))
            self._totals[name] = before + float(deviation.sum()), count + deviation.size
        self._sums = {}


def apart(one: Image, other: Image) -> NDArray[np.uint8]:
    """The largest difference of a channel, uint8 ``(H, W)``."""
    differences = np.maximum(one, other) - np.minimum(one, other)
    return reduce(np.maximum, np.moveaxis(differences, 2, 0))  # 3 times as fast as the maximum over an axis of 3
