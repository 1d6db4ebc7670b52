"""Estimates the noise of a picture: from a pair, from a static burst, or from one frame alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError, UsageError
from quietcam.image import Image, check_image

__all__ = ["BlindEstimator", "NoiseEstimate", "estimate_blind", "estimate_burst", "estimate_pair"]

_STRIP = 1 << 20  # values at a time, so that a large frame needs little additional memory

_SIDE = 8  # pixels of a sampled block
_CELLS = 216  # sampled blocks of a frame in a stream: 12 by 18; a multiple of the groups
_GROUPS = 8  # of blocks, by brightness
_QUIET = 0.1  # this quantile of a group's powers is taken as the power of noise alone
_FLATTEST = 8  # of so many blocks of a group, the flattest shows the kind of noise
_PHASES = 16  # sets of blocks that a stream uses in turn
_MOST_BLOCKS = 4096  # in a single frame

_OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32)
_OPPONENTS /= np.linalg.norm(_OPPONENTS, axis=1, keepdims=True)

# The ratio of a flat field's powers at lags 2 and 1 shows the grain: 1.1 for white noise, 1.9 to 3.2 after the sharper
# demosaicing, 3.1 to 3.6 after the bilinear one. The _SHORT values are factors by which the lowest tenth is smaller
# than the variance, measured on flat fields of known noise: `python -m benchmarks.data.estimation --calibrate`.
_WHITE, _GRAIN = 1.4, 2.0  # below _WHITE lag 1 is used, above _GRAIN lag 2, between them a blend
_SHORT_NEAR = 1.25  # at lag 1, for white noise
_SHORT_FAR = ((1.1, 3.5), (1.27, 1.85))  # at lag 2, over the ratio

_Floats = NDArray[np.float32]
_Places = NDArray[np.intp]


@dataclass(frozen=True)
class NoiseEstimate:
    """The noise of a picture as delivered, after the tone curve.

    Attributes:
        shot, read: the line that fits the variance best: variance = ``shot`` * value + ``read``, for image values in
            [0, 1]. Both are at least 0. They are not the figures of the sensor: the tone curve bends the line of the
            sensor, and demosaicing removes part of the variance.
        sigma: the standard deviation of noisy - clean over the whole picture, all channels together, in steps of 255.
    """

    shot: float
    read: float
    sigma: float


def estimate_pair(noisy: Image, clean: Image) -> NoiseEstimate:
    """Estimate from a noisy picture and its clean twin: ``sigma`` is the standard deviation of their difference.

    Args:
        noisy, clean: uint8 ``(H, W, C)`` of the same shape.

    Raises:
        DataError: an array is no uint8 image, or their shapes differ.
    """
    check_image(noisy, "noisy")
    check_image(clean, "clean")
    _check_shapes(noisy.shape, clean.shape)
    count, total, squares = np.zeros(256), np.zeros(256), np.zeros(256)
    noisy, clean = noisy.reshape(-1), clean.reshape(-1)
    for start in range(0, noisy.size, _STRIP):
        level = clean[start : start + _STRIP]
        error = noisy[start : start + _STRIP].astype(np.float32) - level
        count += np.bincount(level, minlength=256)
        total += np.bincount(level, error, 256)
        squares += np.bincount(level, error * error, 256)
    mean = total.sum() / noisy.size
    sigma = math.sqrt(max(squares.sum() / noisy.size - mean * mean, 0.0))
    seen = np.maximum(count, 1.0)
    variance = squares / seen - (total / seen) ** 2
    return _estimate(np.arange(256.0), variance, count, sigma)


def estimate_burst(frames: Iterable[Image]) -> NoiseEstimate:
    """Estimate from two or more frames of a static scene by a camera that does not move.

    ``sigma`` is the square root of the mean variance of a pixel over the frames. Motion counts as noise. Any number of
    frames takes the memory of three.

    Args:
        frames: uint8 ``(H, W, C)`` of the same shape.

    Raises:
        DataError: a frame is no uint8 image, shapes differ, or there are fewer than two.
    """
    shape: tuple[int, ...] = ()
    total = squares = np.zeros(0, np.float32)
    number = 0
    for frame in frames:
        check_image(frame, "a frame")
        if number == 0:
            shape = frame.shape
            origin = frame.astype(
                np.float32
            )  # differences from the first frame are small, so their squares are exact enough
            total, squares = np.zeros_like(origin), np.zeros_like(origin)
        _check_shapes(frame.shape, shape)
        moved = frame - origin
        total += moved
        squares += moved * moved
        number += 1
    if number < 2:
        raise DataError(f"A burst needs two frames or more. Received: {number}. Remedy: add frames of the same scene.")
    variance = (squares - total * total / number) / (number - 1)
    level = np.rint(np.clip(origin + total / number, 0.0, 255.0)).astype(np.uint8).reshape(-1)
    count = np.bincount(level, minlength=256).astype(np.float64)
    by_level = np.bincount(level, variance.reshape(-1), 256) / np.maximum(count, 1.0)
    sigma = math.sqrt(float(variance.mean(dtype=np.float64)))
    return _estimate(np.arange(256.0), by_level, count, sigma)


def estimate_blind(image: Image) -> NoiseEstimate:
    """Estimate from one frame alone, uint8 ``(H, W, C)``, without a clean twin.

    Blocks of 8x8 pixels are grouped by brightness, and the power of their second differences is measured: at lag 1,
    which shows little of the scene and all of white noise, and at lag 2, which shows nearly all of the grain after
    demosaicing, too. The lowest tenth of each group is taken as its noise. Textures are mostly gray, noise is not.
    Therefore the flattest blocks show the ratio of noise in brightness to noise in color; of the other blocks, only the
    color is measured. The color of the flattest blocks also shows the grain, which decides which lag is used, and by
    which factor the lowest tenth is too small.

    Raises:
        DataError: it is no uint8 image, or a side is below 8.
    """
    height, width, channels = check_image(image).shape
    rows, columns = max(1, height // _SIDE), max(1, width // _SIDE)
    thin = math.sqrt(max(1.0, rows * columns / _MOST_BLOCKS))
    probe = _Probe((height, width, channels), max(1, int(rows / thin)), max(1, int(columns / thin)))
    levels, powers = probe.buffers(1)
    probe.measure(image, probe.places(), levels, powers)
    return _estimate_from_blocks(levels, powers)


class BlindEstimator:
    """``estimate_blind`` for a stream: each frame adds a fixed number of blocks, at other places each time.

    The cost is the same for every size of frame. After the noise changes, estimates are right again ``memory`` frames
    later.

    Args:
        shape: of the frames, ``(H, W, C)``.
        memory: number of frames that an estimate is based on.

    Raises:
        DataError: the shape has a side below 8, or channels other than 1 or 3.
        UsageError: ``memory`` is below 1.

    Example:
        >>> estimator = BlindEstimator((480, 640, 3))
        >>> sigma = estimator.update(frame).sigma
    """

    def __init__(self, shape: tuple[int, int, int], *, memory: int = 2) -> None:
        if memory < 1:
            raise UsageError(f"An estimate needs at least 1 frame. Received: memory={memory}.")
        self.shape = shape
        short = round(math.sqrt(_CELLS * 2 / 3))
        rows, columns = (short, _CELLS // short) if shape[1] >= shape[0] else (_CELLS // short, short)
        self._probe = _Probe(shape, rows, columns)
        rng = np.random.Generator(np.random.PCG64(0))
        self._places = [self._probe.places(rng) for _ in range(_PHASES)]
        self._memory, self._seen = memory, 0
        self._levels, self._powers = self._probe.buffers(memory)

    def update(self, frame: Image) -> NoiseEstimate:
        """Add a frame and estimate.

        A frame that is not contiguous in memory is copied first, which costs more than all the rest.

        Args:
            frame: uint8 of the estimator's shape.

        Raises:
            DataError: another shape or dtype.
        """
        if frame.shape != self.shape or frame.dtype != np.uint8:
            raise DataError(
                f"Frames must be uint8 of the shape {self.shape}. Received: dtype={frame.dtype}, shape={frame.shape}. "
                "Remedy: make an estimator for each shape."
            )
        start = self._seen % self._memory * _CELLS
        now = slice(start, start + _CELLS)
        self._probe.measure(frame, self._places[self._seen % _PHASES], self._levels[now], self._powers[..., now])
        self._seen += 1
        filled = min(self._seen, self._memory) * _CELLS
        return _estimate_from_blocks(self._levels[:filled], self._powers[..., :filled])


class _Probe:
    """Measures blocks, one in each cell of a grid, in frames of one shape. Buffers are allocated once.

    For each block it measures the mean level and four powers: of all colors together at lags 1 and 2, and of the color
    differences (red to blue, both to green) at lags 1 and 2. A power is the mean square of second differences along
    both axes, scaled so that white noise gives its variance, averaged over channels.
    """

    def __init__(self, shape: tuple[int, int, int], rows: int, columns: int) -> None:
        height, width, channels = shape
        if min(height, width) < _SIDE or channels not in (1, 3):
            raise DataError(
                f"Estimating noise needs {_SIDE}x{_SIDE} pixels or more, of 1 or 3 channels. Received: shape={shape}."
            )
        self._shape, self._cells = shape, (rows, columns)
        steps = np.arange(_SIDE)
        # Blocks are the last axis, so that arithmetic runs along contiguous memory.
        color, y, x = np.arange(channels).reshape(-1, 1, 1, 1), steps.reshape(-1, 1, 1), steps.reshape(-1, 1)
        self._offsets = (y * width + x) * channels + color
        size = (channels, _SIDE, _SIDE, rows * columns)
        self._indices, self._values = np.empty(size, np.intp), np.empty(size, np.uint8)
        self._planes, self._turned, self._doubled = (np.empty(size, np.float32) for _ in range(3))
        self._room = np.empty(self._planes.size, np.float32)

    def buffers(self, frames: int) -> tuple[_Floats, _Floats]:
        """Buffers for the levels ``(N,)`` and powers ``(4, N)`` of so many frames."""
        blocks = self._planes.shape[-1] * frames
        return np.zeros(blocks, np.float32), np.zeros((4, blocks), np.float32)

    def places(self, rng: np.random.Generator | None = None) -> _Places:
        """Where blocks begin in the memory of a frame: at the start of their cells, or with ``rng`` at random."""
        height, width, channels = self._shape
        rows, columns = self._cells
        row, column = np.divmod(np.arange(rows * columns), columns)
        y, x = np.zeros((2, rows * columns)) if rng is None else rng.random((2, rows * columns))
        ys = (row + y) * ((height - _SIDE + 1) / rows)
        xs = (column + x) * ((width - _SIDE + 1) / columns)
        starts: _Places = (ys.astype(np.intp) * width + xs.astype(np.intp)) * channels
        return starts

    def measure(self, frame: Image, places: _Places, levels: _Floats, powers: _Floats) -> None:
        """Fill ``levels`` and ``powers`` from the blocks of ``frame`` that begin at ``places``."""
        np.add(self._offsets, places, out=self._indices)
        # All indices are valid; with this mode numpy does not buffer its output.
        np.take(frame.reshape(-1), self._indices, out=self._values, mode="clip")
        planes = self._planes
        planes[...] = self._values
        np.mean(planes, axis=(0, 1, 2), out=levels)
        if len(planes) == 3:
            np.matmul(_OPPONENTS, planes.reshape(3, -1), out=self._turned.reshape(3, -1))
            planes = self._turned
        np.add(planes, planes, out=self._doubled)
        for i, lag in enumerate((1, 2)):
            power = self._power(planes, self._doubled, lag)
            power += self._power(planes.swapaxes(1, 2), self._doubled.swapaxes(1, 2), lag)
            # The mean square of a second difference is 1 + 4 + 1 times the variance; there are two axes.
            power *= np.float32(1.0 / (12.0 * _SIDE * (_SIDE - 2 * lag) * len(planes)))
            color = power[1:].sum(axis=0)
            np.add(power[0], color, out=powers[i])
            powers[2 + i] = color

    def _power(self, planes: _Floats, doubled: _Floats, lag: int) -> _Floats:
        """The sum of squares of second differences along the first axis of the blocks: ``(C, N)``."""
        steps = _SIDE - 2 * lag
        room = self._room[: steps * planes[:, 0].size].reshape(len(planes), steps, _SIDE, -1)
        np.add(planes[:, :steps], planes[:, 2 * lag :], out=room)
        np.subtract(room, doubled[:, lag : lag + steps], out=room)
        power: _Floats = np.einsum("cijn,cijn->cn", room, room)
        return power


def _estimate_from_blocks(levels: _Floats, powers: _Floats) -> NoiseEstimate:
    """The estimate from the levels ``(N,)`` of blocks and their powers ``(4, N)``."""
    groups = min(_GROUPS, len(levels))
    members = len(levels) // groups
    order = np.argsort(levels)[: groups * members]
    powers = powers[:, order].reshape(4, groups, members)
    few = max(1, members // _FLATTEST)
    flattest = np.argpartition(powers[0], few - 1, axis=1)[:, :few] + np.arange(groups)[:, np.newaxis] * members
    near, far, near_color, far_color = powers.reshape(4, -1)[:, flattest.reshape(-1)].sum(axis=1).tolist()
    if near <= 0.0:
        return NoiseEstimate(0.0, 0.0, 0.0)
    quiet = round(_QUIET * (members - 1))
    near_low, far_low, near_color_low, far_color_low = np.partition(powers, quiet, axis=2)[:, :, quiet].astype(float)
    if near_color > 0.01 * near:
        ratio = far_color / near_color
        near_low = np.minimum(near_low, near_color_low * (near / near_color))
        far_low = np.minimum(far_low, far_color_low * (far / max(far_color, 1e-9)))
    else:  # one channel, or three equal ones
        ratio = far / near
    grain = min(max((ratio - _WHITE) / (_GRAIN - _WHITE), 0.0), 1.0)
    near_share, far_share = (1.0 - grain) * _SHORT_NEAR, grain * float(np.interp(ratio, *_SHORT_FAR))
    variance = near_low * near_share + far_low * far_share
    level = levels[order].reshape(groups, members).mean(axis=1, dtype=np.float64)
    return _estimate(level, variance, np.ones(groups), math.sqrt(float(variance.mean())))


def _estimate(
    level: NDArray[np.float64], variance: NDArray[np.float64], weight: NDArray[np.float64], sigma: float
) -> NoiseEstimate:
    """Fit variance = shot * value + read, both at least 0, to variances by level, which are in steps of 255."""
    value, variance = level / 255.0, variance / 255.0**2
    total = float(weight.sum())
    if total <= 0.0:
        return NoiseEstimate(0.0, 0.0, sigma)
    mean_value, mean_variance = float(weight @ value) / total, float(weight @ variance) / total
    spread = float(weight @ (value - mean_value) ** 2)
    shot = 0.0
    if spread > 1e-9 * total:
        shot = max(float(weight @ ((value - mean_value) * (variance - mean_variance))) / spread, 0.0)
    read = mean_variance - shot * mean_value
    if read < 0.0:  # then the best line through the origin
        shot, read = float(weight @ (value * variance)) / max(float(weight @ (value * value)), 1e-12), 0.0
    return NoiseEstimate(shot, read, sigma)


def _check_shapes(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    if shape != other:
        raise DataError(
            f"Pictures of one scene must have the same shape. Received: {shape} and {other}. "
            "Remedy: crop them to the same region."
        )
