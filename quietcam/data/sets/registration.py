"""Measures the shift between a noisy picture and its clean twin: phase correlation to a fraction of a pixel, in numpy.

The normalized cross-power spectrum of two pictures, one shifted against the other, is a plane wave whose inverse
transform peaks at the shift (Kuglin and Hines, "The phase correlation image alignment method", 1975). Noise fills the
frequencies in which the scene is weak, so each frequency is weighted by the scene's share of its power, as in a Wiener
filter. Around the highest pixel the transform is evaluated on a finer grid by two matrix products (Guizar-Sicairos,
Thurman, Fienup, "Efficient subpixel image registration algorithms", 2008).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError
from quietcam.image import Image

__all__ = ["LARGEST_ERROR", "Shift", "find_likeness", "find_shift", "spread_tiles"]

TILE = 512
"""Side in pixels of the tile that one transform covers. It can find shifts of up to half of this."""

LARGEST_ERROR = 0.1
"""Pixels, one standard deviation: a shift with a larger error counts as unknown."""

_TILES_A_SIDE = 3
_BLOCK = 16
_FLAT = 6.0  # steps of 255: noise of 100 leaves 3.6 in a block's mean
_FINE = 50  # grid positions per pixel
_REACH = 0.75  # pixels searched around the highest one
_WINDOW_SPREAD = 1.5**2  # Hann's equivalent noise bandwidth, squared: how many frequencies move together
_ROUNDING = 3.0 / 12.0  # variance of rounding to 255 steps, times what its single frequencies scatter
_LEAST_VOICES = 15.0  # effective number of frequencies; fewer may agree by chance
_LEAST_HEIGHT = 0.08  # of the peak; it is 1 if two pictures differ only by a shift; real pairs have 0.14 to 1
_CONJUGATES = 2.0  # each frequency occurs twice in the spectrum of real values


@dataclass(frozen=True)
class Shift:
    """How far the noisy picture is shifted to the right and down, compared with its clean twin.

    Attributes:
        x: pixels to the right.
        y: pixels down.
        error: standard deviation in pixels, in the least certain direction; infinity if the shift is unknown.
        distance: length of the known part of the shift in pixels: stripes show only the shift across them. None if the
            shift is unknown.
    """

    x: float
    y: float
    error: float
    distance: float | None


def find_shift(noisy: Image, clean: Image) -> Shift:
    """Measure the shift of ``noisy`` compared with ``clean``, both uint8 ``(H, W, C)``.

    For a large picture, up to nine tiles of 512x512, spread over it, are used together, so time and memory are bounded.

    Raises:
        DataError: the shapes differ, or a side is under 16 pixels.
    """
    if noisy.shape != clean.shape or min(noisy.shape[:2]) < 16:
        raise DataError(
            "To find a shift, both pictures must have the same size, at least 16x16 pixels. "
            f"Received: {noisy.shape} and {clean.shape}."
        )
    cross, weight = _spectra(noisy, clean)
    total = float(weight.sum())
    if total == 0.0:
        return Shift(0.0, 0.0, float("inf"), None)
    wave = weight * np.exp(1j * np.angle(cross))
    coarse = np.fft.ifft2(wave).real
    row, column = np.unravel_index(int(np.argmax(coarse)), coarse.shape)
    y, x, height = _refine(wave, _signed(int(row), coarse.shape[0]), _signed(int(column), coarse.shape[1]))
    variances, directions = _uncertainty(wave, y, x)
    known = variances < LARGEST_ERROR**2
    voices = total**2 / float((weight**2).sum()) / (_WINDOW_SPREAD * _CONJUGATES)
    parts = (directions.T @ np.array([y, x]))[known]
    trusted = known.any() and height >= _LEAST_HEIGHT * total and voices >= _LEAST_VOICES
    return Shift(x, y, float(np.sqrt(variances.max())), float(np.hypot.reduce(parts)) if trusted else None)


def find_likeness(noisy: Image, clean: Image) -> float | None:
    """Correlation of two pictures' 16x16 block means, from -1 to 1. Noise and small shifts hardly affect block means.

    None if the clean picture is too uniform for a meaningful result. True pairs have 0.9 or more.
    """
    means: list[list[NDArray[np.float64]]] = [[], []]
    for place in spread_tiles(noisy.shape):
        for picture, side in zip((noisy, clean), means, strict=True):
            plane = picture[place].mean(axis=2, dtype=np.float64)
            height, width = (length // _BLOCK * _BLOCK for length in plane.shape)
            blocks = plane[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
            side.append(blocks.mean(axis=(1, 3)).ravel())
    first, second = (np.concatenate(side) for side in means)
    if first.size < 4 or second.std() < _FLAT or first.std() == 0.0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def spread_tiles(shape: tuple[int, ...], size: int = TILE, a_side: int = _TILES_A_SIDE) -> list[tuple[slice, slice]]:
    """Up to ``a_side ** 2`` tiles of ``size``, evenly spread over ``(H, W, …)``; they do not overlap."""
    axes = []
    for length in shape[:2]:
        count = min(a_side, max(1, length // size))
        room = length - min(size, length)
        starts = [room // 2] if count == 1 else [round(i * room / (count - 1)) for i in range(count)]
        axes.append([slice(start, start + min(size, length)) for start in starts])
    return [(rows, columns) for rows in axes[0] for columns in axes[1]]


def _spectra(noisy: Image, clean: Image) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """The cross-power summed over tiles, and each frequency's weight: the scene's share of its power, 0 to 1."""
    sums: list[NDArray[Any]] = []
    rounding = 0.0
    for a, b, window in _windows(noisy, clean):
        first, second = np.fft.fft2(a), np.fft.fft2(b)
        # The last is the power that the two do not share, independent of the shift.
        powers = first * second.conj(), np.abs(second) ** 2, (np.abs(first) - np.abs(second)) ** 2
        sums = [total + power for total, power in zip(sums, powers, strict=True)] if sums else list(powers)
        rounding += _ROUNDING * float((window**2).sum())
    cross, power, noise = sums
    scene = np.maximum(power - rounding, 0.0)
    weight = scene / (scene + _smooth(noise) + 2.0 * rounding)
    weight[0, 0] = 0.0  # the mean contains no information about the shift
    return cross, weight


def _windows(noisy: Image, clean: Image) -> Iterator[tuple[NDArray[np.float64], ...]]:
    for place in spread_tiles(noisy.shape):
        a, b = (picture[place].mean(axis=2, dtype=np.float64) for picture in (noisy, clean))
        window = np.hanning(a.shape[0] + 2)[1:-1, None] * np.hanning(a.shape[1] + 2)[None, 1:-1]
        yield (a - a.mean()) * window, (b - b.mean()) * window, window


def _smooth(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over 9x9 neighbors, wrapping at the edges, since a single frequency's noise power is random."""
    for axis in (0, 1):
        power = np.mean([np.roll(power, step, axis) for step in range(-4, 5)], axis=0)
    return power


def _refine(wave: NDArray[np.complex128], row: int, column: int) -> tuple[float, float, float]:
    """The highest point (y and x) of the inverse transform around a pixel, and its height."""
    steps = np.arange(-_REACH, _REACH + 0.5 / _FINE, 1.0 / _FINE)
    ys, xs = row + steps, column + steps
    down = np.exp(2j * np.pi * ys[:, None] * np.fft.fftfreq(wave.shape[0])[None, :])
    right = np.exp(2j * np.pi * np.fft.fftfreq(wave.shape[1])[:, None] * xs[None, :])
    fine = (down @ wave @ right).real
    i, j = np.unravel_index(int(np.argmax(fine)), fine.shape)
    return float(ys[i]), float(xs[j]), float(fine[i, j])


def _uncertainty(wave: NDArray[np.complex128], y: float, x: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances of the peak's position along two directions, in squared pixels, and the directions (y, x) as columns.

    The peak maximizes the weighted sum of cos(phase - k d). The covariance of such a maximum is the inverse of its
    curvature on both sides of the scatter of its slopes (Huber's sandwich), here with the phases' own residuals, each
    divided by one minus its leverage (MacKinnon and White's HC3), since with few frequencies the fit follows each of
    them.
    """
    rows, columns = (np.asarray(2.0 * np.pi * np.fft.fftfreq(length), np.float64) for length in wave.shape)
    rows, columns = rows[:, None], columns[None, :]
    residual = wave * np.exp(1j * (rows * y + columns * x))
    curvature = _moments(residual.real, rows, columns)
    steepness, axes = np.linalg.eigh(curvature)
    # If nothing varies in a direction, a tiny curvature makes the shift unknown and avoids a division by zero.
    steepness = np.maximum(steepness, 1e-12 * max(1.0, float(steepness.max())))
    inverse = axes / steepness @ axes.T
    together = _WINDOW_SPREAD * _CONJUGATES
    quadratic = inverse[0, 0] * rows**2 + 2.0 * inverse[0, 1] * rows * columns + inverse[1, 1] * columns**2
    leverage = np.minimum(together * np.abs(wave) * quadratic, 1.0 - 1e-3)
    slopes = _moments((residual.imag / (1.0 - leverage)) ** 2, rows, columns) + 1e-12 * np.eye(2)
    variances, axes = np.linalg.eigh(together * inverse @ slopes @ inverse)
    return np.maximum(variances, 0.0), axes


def _moments(
    values: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The sum of ``values`` k k^T over all frequencies k, ``(2, 2)``."""
    mixed = float((values * rows * columns).sum())
    return np.array([[float((values * rows**2).sum()), mixed], [mixed, float((values * columns**2).sum())]])


def _signed(index: int, length: int) -> int:
    return index - length if index > length // 2 else index
