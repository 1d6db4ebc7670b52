"""How similar two pictures are: PSNR and SSIM on uint8, with numpy only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError
from quietcam.image import Image, check_image

__all__ = ["MOST_DB", "finite_psnr", "psnr", "ssim"]

MOST_DB = 100.0
"""Stands for the infinite PSNR of equal pictures, dB, where it goes into a mean or into JSON."""

_PEAK = 255.0
_WINDOW = 7
_C1 = (0.01 * _PEAK) ** 2
_C2 = (0.03 * _PEAK) ** 2
_ROWS_AT_ONCE = 32
"""Pictures are measured in bands of so many rows, so that what SSIM holds for a band stays in the processor's cache:
2.5 times as fast as 256 rows for 640x360 (measured)."""


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio in dB, ``10 log10(255^2 / MSE)``, over all pixels and channels.

    Args:
        a: uint8 ``(H, W, C)``.
        b: uint8 of the same shape. The order of the two does not matter.

    Returns:
        dB; infinity where the pictures are equal.

    Raises:
        DataError: the shapes differ, or an array is no uint8 image.

    Example:
        >>> import numpy as np
        >>> clean = np.full((64, 64, 3), 100, np.uint8)
        >>> round(quietcam.psnr(clean + np.uint8(10), clean), 2)  # 10 log10(255^2 / 10^2)
        28.13
    """
    _check_pair(a, b)
    squares = 0
    for top in range(0, a.shape[0], _ROWS_AT_ONCE):
        band = slice(top, top + _ROWS_AT_ONCE)
        difference = a[band].astype(np.int32) - b[band]
        squares += int(np.square(difference).sum(dtype=np.int64))
    if squares == 0:
        return math.inf
    return 10.0 * math.log10(_PEAK**2 * a.size / squares)


def finite_psnr(a: Image, b: Image) -> float:
    """As ``psnr``, but at most ``MOST_DB``, for means and for JSON."""
    return min(MOST_DB, psnr(a, b))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity, the mean over all whole windows and channels; 1 where the pictures are equal.

    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity"
    (2004), with uniform 7x7 windows, sample covariance, K1 = 0.01 and K2 = 0.03: as scikit-image computes it by default
    with ``channel_axis=2, data_range=255``.

    Args:
        a: uint8 ``(H, W, C)``, both sides at least 7 pixels.
        b: uint8 of the same shape. The order of the two does not matter.

    Returns:
        At most 1.

    Raises:
        DataError: the shapes differ, an array is no uint8 image, or a side is shorter than the window.

    Example:
        >>> import numpy as np
        >>> picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        >>> quietcam.ssim(picture, picture), round(quietcam.ssim(picture, 255 - picture), 1)
        (1.0, -1.0)
    """
    _check_pair(a, b)
    height, width, channels = a.shape
    if min(height, width) < _WINDOW:
        raise DataError(
            f"SSIM needs pictures of at least {_WINDOW}x{_WINDOW} pixels. Received: {width}x{height}. "
            "Remedy: compare larger pictures."
        )
    total: float = 0.0
    rows = height - _WINDOW + 1
    for top in range(0, rows, _ROWS_AT_ONCE):
        band = slice(top, min(top + _ROWS_AT_ONCE, rows) + _WINDOW - 1)
        total += sum(_ssim_sum(a[band, :, c], b[band, :, c]) for c in range(channels))
    return float(total / (rows * (width - _WINDOW + 1) * channels))


def _ssim_sum(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The sum of SSIM over all whole windows of two ``(H, W)`` planes."""
    x, y = a.astype(np.int32), b.astype(np.int32)
    count = float(_WINDOW**2)
    # The window sums are integers below 2^22, so the moments are exact until the one division.
    mean_x, mean_y = _window_sums(x) / count, _window_sums(y) / count
    xx, yy, xy = _window_sums(x * x) / count, _window_sums(y * y) / count, _window_sums(x * y) / count
    sample = count / (count - 1.0)
    variance_x = sample * (xx - mean_x * mean_x)
    variance_y = sample * (yy - mean_y * mean_y)
    covariance = sample * (xy - mean_x * mean_y)
    numerator = (2.0 * mean_x * mean_y + _C1) * (2.0 * covariance + _C2)
    denominator = (mean_x * mean_x + mean_y * mean_y + _C1) * (variance_x + variance_y + _C2)
    total: np.float64 = (numerator / denominator).sum(dtype=np.float64)
    return float(total)


def _window_sums(plane: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sums over all whole 7x7 windows, int32 ``(H - 6, W - 6)``: rows first, then columns, 7 = 4 + 2 + 1 at a time."""
    pairs = plane[:-1] + plane[1:]
    rows = pairs[:-5] + pairs[2:-3] + pairs[4:-1] + plane[6:]
    pairs = rows[:, :-1] + rows[:, 1:]
    sums: NDArray[np.int32] = pairs[:, :-5] + pairs[:, 2:-3] + pairs[:, 4:-1] + rows[:, 6:]
    return sums


def _check_pair(a: Image, b: Image) -> None:
    check_image(a, "the first picture")
    check_image(b, "the second picture")
    if a.shape != b.shape:
        raise DataError(
            "Two pictures are compared pixel by pixel, so their shapes must be equal. "
            f"Received: {a.shape} and {b.shape}. Remedy: crop both to the same region."
        )
