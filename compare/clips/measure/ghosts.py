"""Ghosts: what stays in the picture of things that have left, against the same network without history.

A pixel begins to count in the frame in which it moves and the clean picture changes by more than 20 steps of 255 there:
something came or left. It counts for 8 more frames, as long as the clean picture stays within 8 steps. By the frames
since then, the excess is ``10 log10(E / E0)``: E is the squared error of the network, and E0 that of the same network
without history, each summed over these pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compare.clips.clip import Shot
from compare.clips.measure.flicker import STAYS, apart
from compare.clips.scores import Ghost
from quietcam.image import Image

__all__ = ["AGES", "GhostSums", "Leavings"]

AGES = 9
"""In so many frames after a change a pixel counts, that of the change itself included."""

_CHANGE = 20  # steps of 255: what differs less leaves no ghost to see
_LEAST = 0.1  # dB: a smaller excess counts as none
_NEVER = 255

Ages = NDArray[np.uint8]


class Leavings:
    """Finds the pixels of one clip where something came or left a short while ago."""

    def __init__(self) -> None:
        self._ages: Ages = np.empty(0, np.uint8)
        self._before: Image = np.empty(0, np.uint8)
        self._arrived: Image = np.empty(0, np.uint8)

    def see(self, shot: Shot) -> Ages:
        """Frames since the change, uint8 ``(H, W)``: 0 to ``AGES - 1``, and 255 for all other pixels.

        Valid until the next call. A cut, as the first frame, is no change: nothing was there before.
        """
        clean = shot.clean
        if shot.cut or not self._ages.size:
            self._ages = np.full(clean.shape[:2], _NEVER, np.uint8)
            self._arrived = clean.copy()
        else:
            self._ages[self._ages < _NEVER] += 1
            changed = shot.moving & (apart(clean, self._before) > _CHANGE)
            self._ages[changed] = 0
            self._arrived[changed] = clean[changed]
            self._ages[(self._ages >= AGES) | (apart(clean, self._arrived) > STAYS)] = _NEVER
        self._before = clean
        return self._ages


class GhostSums:
    """The squared errors of a network with history and without, by the frames since the change."""

    def __init__(self) -> None:
        self._errors = np.zeros((2, AGES), np.float64)
        self._pixels = np.zeros(AGES, np.int64)

    def add(self, ages: Ages, errors: NDArray[np.int32], without: NDArray[np.int32]) -> None:
        """Add one frame: the squared errors of both, summed over channels, int32 ``(H, W)``."""
        counted = ages < AGES
        found = ages[counted]
        self._pixels += np.bincount(found, minlength=AGES)
        for sums, each in zip(self._errors, (errors, without), strict=True):
            sums += np.bincount(found, each[counted], AGES)

    def merge(self, other: GhostSums) -> None:
        """Add what another clip has found."""
        self._errors += other._errors
        self._pixels += other._pixels

    def result(self) -> Ghost | None:
        """None where nothing came or left."""
        excess = [
            None if pixels == 0 else round(_excess(error, without), 4)
            for pixels, error, without in zip(self._pixels, *self._errors, strict=True)
        ]
        if all(each is None for each in excess):
            return None
        later = np.cumsum(self._errors[:, ::-1], axis=1)[:, ::-1]  # of each frame and all after it: single ones vary
        gone = (
            age
            for age, each in enumerate(excess)
            if each is not None and each <= _LEAST and _excess(*later[:, age]) <= _LEAST
        )
        return Ghost(excess, next(gone, AGES))


def _excess(error: float, without: float) -> float:
    """dB; half a step of error stands for none."""
    return 10.0 * math.log10(max(error, 0.25) / max(without, 0.25))
