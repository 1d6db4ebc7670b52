"""Temporal noise: the change between frames in places where nothing moves, and which the network removes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image

__all__ = ["FIRST", "TemporalNoiseEstimator"]

_SIDE, _STRIDE = 8, 2  # samples on a side of a block, and pixels between them: 16x16 pixels, so that smooth noise shows
_FOOTPRINT = (_SIDE - 1) * _STRIDE + 1
_SHORT, _LONG = 8, 16  # sampled blocks along the shorter and the longer side of a frame
_GROUPS = 4  # of blocks with similar brightness
_CALM = 0.25  # the part of each group that changes least after the network is taken as not moving
_FEWEST = 0.25  # part of all blocks that must have changed: codecs copy blocks, and still pictures do not change
_KEPT = 1.5  # weight of what changes after the network, against what changes before it
_PATIENCE = 2  # looks without any change until the picture counts as still, and no longer as a late frame
_EVERY = 8  # frames between two looks
_MEMORY = 3  # looks that are averaged

FIRST = 3
"""Number of frames at the start of a stream that are all examined."""

_Floats = NDArray[np.float32]


class _Sample(NamedTuple):
    noisy: _Floats  # (channels, samples, blocks)
    denoised: _Floats | None  # None if the network did not run


class TemporalNoiseEstimator:
    """Estimates noise without fine grain, such as a video codec leaves, from frames of one shape.

    It compares blocks at fixed places with the same blocks one and eight frames earlier, before and after the network.
    Noise changes before the network and no longer after it. Motion and changing light still change after it. So, as
    variances over time, noise = before - 1.5 * after, in the quarter of the blocks that change least after the network
    (of each brightness, because noise depends on brightness). Of the two distances in time the larger value counts:
    near frames have moved less, and far frames contain noise that a codec did not copy.

    The mean of a block does not count as noise, so a lamp may flicker. Frames that repeat the last one are ignored.

    Attributes:
        power: variance of the noise that the network removes, in squared steps of 255; the mean of three looks.
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
        color = np.arange(channels).reshape(-1, 1, 1)
        self._indices = within + color + (y * width + x) * channels

    @staticmethod
    def fits(shape: tuple[int, ...]) -> bool:
        """Whether a frame of this shape is large enough."""
        return min(shape[:2]) > _FOOTPRINT

    def expect(self, other: TemporalNoiseEstimator) -> None:
        """Start with the estimate of another estimator. Its samples are not used: they went through another network."""
        self._seen, self.power = other._seen, other.power

    def look(self, noisy: Image) -> float | None:
        """The most noise that this frame can contain, as a variance; None for a frame that is not looked at.

        Two consecutive frames of every eight are looked at, and the first three.
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
        """Take the denoised last frame, or None if the network did not run. Gives whether there is a new estimate."""
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
    """Variance of one frame's noise in each block, ``(N,)``, if two frames differ by noise alone."""
    change = first - second
    change -= change.mean(axis=1, keepdims=True)
    variance: _Floats = np.einsum("cin,cin->n", change, change)
    variance /= np.float32(2 * change.shape[0] * change.shape[1])
    return variance


def _calm(values: _Floats, before: _Floats, after: _Floats) -> tuple[float, float]:
    """Means of ``before`` and ``after`` in the blocks that change least after the network; zeros if few change."""
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
