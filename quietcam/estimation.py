"""How noisy a picture is: from a pair, from a static burst, or from one frame alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError, UsageError
from quietcam.image import Image, check_image

__all__ = ["BlindEstimator", "NoiseEstimate", "estimate_blind", "estimate_burst", "estimate_pair"]

_STRIP = 1 << 20  # values taken at a time, so that a full-size frame needs little memory beside itself

_SIDE = 8  # pixels of a sampled block
_CELLS = 216  # sampled blocks of a frame in a stream: 12 by 18; a multiple of the groups
_GROUPS = 8  # of blocks, by brightness
_QUIET = 0.1  # this quantile of a group's powers is taken for noise alone
_FLATTEST = 8  # one of so many blocks of a group tells how the noise is made
_PHASES = 16  # places that a stream is looked at, one after the other
_MOST_BLOCKS = 4096  # of a single frame

_OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32)
_OPPONENTS /= np.linalg.norm(_OPPONENTS, axis=1, keepdims=True)

# The ratio of a flat field's powers at lags 2 and 1 tells the grain: 1.1 is white noise, 1.9 to 3.2 the sharper
# demosaic's, 3.1 to 3.6 the bilinear one's. Factors by which the lowest tenth falls short of the variance, measured on
# flat fields whose noise is known; `python -m benchmarks.data.estimation --calibrate` measures them again.
_WHITE, _GRAIN = 1.4, 2.0  # below the one lag 1 serves, above the other lag 2, between them a blend
_SHORT_NEAR = 1.25  # at lag 1, for white noise
_SHORT_FAR = ((1.1, 3.5), (1.27, 1.85))  # at lag 2, over the ratio

_Floats = NDArray[np.float32]
_Places = NDArray[np.intp]


@dataclass(frozen=True)
class NoiseEstimate:
    """The noise of a picture as it is delivered, tone curve and all.

    Attributes:
        shot, read: the line that its variance follows best: variance = ``shot`` * value + ``read`` for image values
            in [0, 1]. Both are at least 0. They are no sensor's figures: the tone curve bends a sensor's line, and
            demosaicing took part of the variance away.
        sigma: the standard deviation over the whole picture, all channels together, in steps of 255: that of
            noisy - clean, where the clean side is known.
    """

    shot: float
    read: float
    sigma: float


def estimate_pair(noisy: Image, clean: Image) -> NoiseEstimate:
    """From a noisy picture and its clean twin, uint8 of one shape: ``sigma`` is the deviation of their difference.

    Raises:
        DataError: one is no image, or their shapes differ.
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
    """From two or more frames of a still scene by a still camera, uint8 of one shape.

    ``sigma`` is the root of the mean variance of a pixel over the frames. What moved counts as noise. Any number of
    frames takes the memory of three.

    Raises:
        DataError: one is no image, shapes differ, or there are fewer than two.
    """
    shape: tuple[int, ...] = ()
    total = squares = np.zeros(0, np.float32)
    number = 0
    for frame in frames:
        check_image(frame, "a frame")
        if number == 0:
            shape = frame.shape
            origin = frame.astype(np.float32)  # squares of differences from it keep their digits
            total, squares = np.zeros_like(origin), np.zeros_like(origin)
        _check_shapes(frame.shape, shape)
        moved = frame - origin
        total += moved
        squares += moved * moved
        number += 1
    if number < 2:
        raise DataError(f"A burst is two frames or more. Received: {number}. Remedy: add frames of the same scene.")
    variance = (squares - total * total / number) / (number - 1)
    level = np.rint(np.clip(origin + total / number, 0.0, 255.0)).astype(np.uint8).reshape(-1)
    count = np.bincount(level, minlength=256).astype(np.float64)
    by_level = np.bincount(level, variance.reshape(-1), 256) / np.maximum(count, 1.0)
    sigma = math.sqrt(float(variance.mean(dtype=np.float64)))
    return _estimate(np.arange(256.0), by_level, count, sigma)


def estimate_blind(image: Image) -> NoiseEstimate:
    """From one frame alone, uint8 ``(H, W, C)``, without knowing what is noise in it and what is the scene.

    Blocks of 8x8 pixels are put into groups by their brightness, and the power of their second differences is taken,
    at lag 1, which sees little of the scene and all of white noise, and at lag 2, which sees nearly all of a
    demosaic's grain too. The lowest tenth of a group stands for its noise. Textures are mostly grey and noise is not:
    the flattest blocks tell how noise divides between brightness and colour, and colour alone may then speak for the
    others; in colour they also tell the grain, and with it which lag serves, and what the lowest tenth lacks.

    Raises:
        DataError: it is no image, or has a side below 8.
    """
    height, width, channels = check_image(image).shape
    rows, columns = max(1, height // _SIDE), max(1, width // _SIDE)
    thin = math.sqrt(max(1.0, rows * columns / _MOST_BLOCKS))
    probe = _Probe((height, width, channels), max(1, int(rows / thin)), max(1, int(columns / thin)))
    levels, powers = probe.buffers(1)
    probe.measure(image, probe.places(), levels, powers)
    return _judge(levels, powers)


class BlindEstimator:
    """``estimate_blind`` for a stream: a fixed budget of blocks a frame, other ones each time, over a few frames.

    A frame costs the same whatever its size. After a change of the noise it takes ``memory`` frames to forget.

    Args:
        shape: of the frames, ``(H, W, C)``.
        memory: how many frames an estimate rests on.

    Raises:
        DataError: the shape has a side below 8, or channels other than 1 or 3.
        UsageError: ``memory`` is below 1.

    Example:
        >>> estimator = BlindEstimator((480, 640, 3))
        >>> sigma = estimator.update(frame).sigma
    """

    def __init__(self, shape: tuple[int, int, int], *, memory: int = 2) -> None:
        if memory < 1:
            raise UsageError(f"An estimate rests on at least 1 frame. Received: memory={memory}.")
        self.shape = shape
        short = round(math.sqrt(_CELLS * 2 / 3))
        rows, columns = (short, _CELLS // short) if shape[1] >= shape[0] else (_CELLS // short, short)
        self._probe = _Probe(shape, rows, columns)
        rng = np.random.Generator(np.random.PCG64(0))
        self._places = [self._probe.places(rng) for _ in range(_PHASES)]
        self._memory, self._seen = memory, 0
        self._levels, self._powers = self._probe.buffers(memory)

    def update(self, frame: Image) -> NoiseEstimate:
        """The estimate as of this frame, which is uint8 of the promised shape.

        A frame that is not contiguous in memory is copied whole first, which costs more than all the rest.

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
        return _judge(self._levels[:filled], self._powers[..., :filled])


class _Probe:
    """Measures blocks, one in each cell of a grid, in frames of one shape. Its buffers are made once.

    Of a block it takes the mean level and four powers: all colours together at lags 1 and 2, and what lies in the
    differences of colours (red against blue, both against green) at lags 1 and 2. A power is the mean square of second
    differences along both axes, in a scale where white noise gives its variance: the mean one of a channel.
    """

    def __init__(self, shape: tuple[int, int, int], rows: int, columns: int) -> None:
        height, width, channels = shape
        if min(height, width) < _SIDE or channels not in (1, 3):
            raise DataError(
                f"Estimating noise needs {_SIDE}x{_SIDE} pixels or more, of 1 or 3 channels. Received: shape={shape}."
            )
        self._shape, self._cells = shape, (rows, columns)
        steps = np.arange(_SIDE)
        # Blocks come last, so that the arithmetic runs along contiguous memory.
        colour, y, x = np.arange(channels).reshape(-1, 1, 1, 1), steps.reshape(-1, 1, 1), steps.reshape(-1, 1)
        self._offsets = (y * width + x) * channels + colour
        size = (channels, _SIDE, _SIDE, rows * columns)
        self._indices, self._values = np.empty(size, np.intp), np.empty(size, np.uint8)
        self._planes, self._turned, self._doubled = (np.empty(size, np.float32) for _ in range(3))
        self._room = np.empty(self._planes.size, np.float32)

    def buffers(self, frames: int) -> tuple[_Floats, _Floats]:
        """Room for the levels ``(N,)`` and powers ``(4, N)`` of so many frames."""
        blocks = self._planes.shape[-1] * frames
        return np.zeros(blocks, np.float32), np.zeros((4, blocks), np.float32)

    def places(self, rng: np.random.Generator | None = None) -> _Places:
        """Where blocks begin in a frame's memory: at the head of their cells, or with ``rng`` anywhere in them."""
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
        # All indices lie within; the mode only keeps numpy from buffering its output.
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
            # 1 + 4 + 1 times the variance in each square, along two axes.
            power *= np.float32(1.0 / (12.0 * _SIDE * (_SIDE - 2 * lag) * len(planes)))
            colour = power[1:].sum(axis=0)
            np.add(power[0], colour, out=powers[i])
            powers[2 + i] = colour

    def _power(self, planes: _Floats, doubled: _Floats, lag: int) -> _Floats:
        """The sum of squares of second differences along the first axis of the blocks: ``(C, N)``."""
        steps = _SIDE - 2 * lag
        room = self._room[: steps * planes[:, 0].size].reshape(len(planes), steps, _SIDE, -1)
        np.add(planes[:, :steps], planes[:, 2 * lag :], out=room)
        np.subtract(room, doubled[:, lag : lag + steps], out=room)
        power: _Floats = np.einsum("cijn,cijn->cn", room, room)
        return power


def _judge(levels: _Floats, powers: _Floats) -> NoiseEstimate:
    """From the levels ``(N,)`` of blocks and their powers ``(4, N)``."""
    groups = min(_GROUPS, len(levels))
    members = len(levels) // groups
    order = np.argsort(levels)[: groups * members]
    powers = powers[:, order].reshape(4, groups, members)
    few = max(1, members // _FLATTEST)
    flattest = np.argpartition(powers[0], few - 1, axis=1)[:, :few] + np.arange(groups)[:, np.newaxis] * members
    near, far, near_colour, far_colour = powers.reshape(4, -1)[:, flattest.reshape(-1)].sum(axis=1).tolist()
    if near <= 0.0:
        return NoiseEstimate(0.0, 0.0, 0.0)
    quiet = round(_QUIET * (members - 1))
    near_low, far_low, near_colour_low, far_colour_low = np.partition(powers, quiet, axis=2)[:, :, quiet].astype(float)
    if near_colour > 0.01 * near:
        ratio = far_colour / near_colour
        near_low = np.minimum(near_low, near_colour_low * (near / near_colour))
        far_low = np.minimum(far_low, far_colour_low * (far / max(far_colour, 1e-9)))
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
    """Fit the line variance = shot * value + read, neither below 0, to variances by level, both in steps of 255."""
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
    if read < 0.0:  # the best line through the origin
        shot, read = float(weight @ (value * variance)) / max(float(weight @ (value * value)), 1e-12), 0.0
    return NoiseEstimate(shot, read, sigma)


def _check_shapes(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    if shape != other:
        raise DataError(
            f"Pictures of one scene must have one shape. Received: {shape} and {other}. "
            "Remedy: crop them to the same region."
        )
