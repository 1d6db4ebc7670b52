"""Noise over time: what changes from frame to frame where nothing moves, and that the network takes away."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image

__all__ = ["FIRST", "TemporalNoiseEstimator"]

_SIDE, _STRIDE = 8, 2  # samples of a block, and pixels between them: what lies in 16x16 pixels, smooth noise too
_FOOTPRINT = (_SIDE - 1) * _STRIDE + 1
_SHORT, _LONG = 8, 16  # sampled blocks along the sides of a frame
_GROUPS = 4  # of blocks, by brightness
_CALM = 0.25  # this share of each group, those that change least once they are denoised, is taken for unmoving
_FEWEST = 0.25  # of all blocks must have changed at all: codecs copy blocks, and a still picture changes nowhere
_KEPT = 1.5  # so often is what changes after the network held against what changes before it
_PATIENCE = 2  # looks at an unchanging picture until it is no late frame, but a still picture
_EVERY = 8  # frames from one look to the next
_MEMORY = 3  # looks that the estimate rests on

FIRST = 3
"""Frames of a stream that are looked at one after the other."""

_Floats = NDArray[np.float32]


class _Sample(NamedTuple):
    noisy: _Floats  # (channels, samples, blocks)
    denoised: _Floats | None  # None where the network did not run


class TemporalNoiseEstimator:
    """Estimates noise that has no fine grain, such as a video codec leaves, from frames of one shape.

    Blocks at fixed places are compared with themselves one and eight frames earlier, before and after the network.
    Noise is what changes before it and no longer after it. What moves, and light that changes, changes after it too:
    so of the variances over time noise = before - 1.5 * after, in the quarter of the blocks that change least after it
    (of each brightness, since noise depends on it). Of the two distances in time the larger value counts: near frames
    have moved less, far ones hold noise that a codec did not copy.

    A mean of the block is no noise, so lamps that flicker do not count. Frames that repeat the last one tell nothing.

    Attributes:
        power: of the noise that the network takes away, variance in squared steps of 255; the mean of three looks.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        height, width, channels = shape
        self.power = 0.0
        self._frames = self._unchanged = 0
        self._before: list[_Sample] = []  # the last two
        self._now: _Floats | None = None
        self._seen: list[float] = []  # of the last looks
        rows, columns = (_SHORT, _LONG) if width >= height else (_LONG, _SHORT)
        row, column = np.divmod(np.arange(rows * columns), columns)
        place = np.random.Generator(np.random.PCG64(0)).random((2, rows * columns))
        y = ((row + place[0]) * ((height - _FOOTPRINT) / rows)).astype(np.intp)
        x = ((column + place[1]) * ((width - _FOOTPRINT) / columns)).astype(np.intp)
        steps = np.arange(_SIDE) * _STRIDE
        within = (steps[:, np.newaxis] * width + steps).reshape(1, -1, 1) * channels
        colour = np.arange(channels).reshape(-1, 1, 1)
        self._indices = within + colour + (y * width + x) * channels

    @staticmethod
    def fits(shape: tuple[int, ...]) -> bool:
        """Is a frame of this shape large enough?"""
        return min(shape[:2]) > _FOOTPRINT

    def expect(self, other: TemporalNoiseEstimator) -> None:
        """Begin with another's estimate; its samples went through another network."""
        self._seen, self.power = other._seen, other.power

    def look(self, noisy: Image) -> float | None:
        """The most noise, as a variance, that this frame can hold; None for one that is not looked at.

        Two frames in a row of eight are, and the first three.
        """
        frame, self._frames = self._frames, self._frames + 1
        self._now = None
        if frame >= FIRST and frame % _EVERY not in (0, _EVERY - 1):
            return None
        self._now = self._take(noisy)
        most = 0.0
        for sample in self._before:
            changes = _variance(self._now, sample.noisy)
            most = max(most, _calm(self._now, changes, changes)[0])
        return most

    def weigh(self, denoised: Image | None) -> bool:
        """Take the network's picture of the last frame, None where it did not run. Is there a new estimate?"""
        if self._now is None:
            return False
        now = _Sample(self._now, None if denoised is None else self._take(denoised))
        self._now = None
        frame = self._frames - 1
        told = (frame < FIRST or frame % _EVERY == 0) and self._compare(now)
        self._before = [*self._before[-1:], now]
        return told

    def _compare(self, now: _Sample) -> bool:
        found: list[float] = []
        changed = False
        for sample in self._before:
            before = _variance(now.noisy, sample.noisy)
            changed = changed or bool(before.any())
            if now.denoised is not None and sample.denoised is not None:
                noisy, kept = _calm(now.noisy, before, _variance(now.denoised, sample.denoised))
                found.append(max(noisy - _KEPT * kept, 0.0))
        self._unchanged = 0 if changed else self._unchanged + 1
        if not found or (not changed and self._unchanged < _PATIENCE):
            return False
        self._seen = [*self._seen[1 - _MEMORY :], max(found)]
        self.power = math.fsum(self._seen) / len(self._seen)
        return True

    def _take(self, image: Image) -> _Floats:
        values: _Floats = np.take(image.reshape(-1), self._indices).astype(np.float32)
        return values


def _variance(first: _Floats, second: _Floats) -> _Floats:
    """Of each block ``(N,)``: of one frame's values around the block's mean, if two frames differ by noise alone."""
    change = first - second
    change -= change.mean(axis=1, keepdims=True)
    variance: _Floats = np.einsum("cin,cin->n", change, change)
    variance /= np.float32(2 * change.shape[0] * change.shape[1])
    return variance


def _calm(values: _Floats, before: _Floats, after: _Floats) -> tuple[float, float]:
    """Means of ``before`` and ``after`` over the blocks that change least after the network; zeros where few change."""
    changed = np.flatnonzero(before)
    if len(changed) < _FEWEST * len(before):
        return 0.0, 0.0
    order = changed[np.argsort(values[..., changed].mean(axis=(0, 1)))]
    chosen = []
    for group in np.array_split(order, _GROUPS):
        least = max(1, round(_CALM * len(group)))
        chosen.append(group[np.argpartition(after[group], least - 1)[:least]])
    blocks = np.concatenate(chosen)
    return float(before[blocks].mean()), float(after[blocks].mean())
