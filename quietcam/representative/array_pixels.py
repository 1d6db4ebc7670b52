"""Converts any array of pictures to uint8 pixels; recognizes and names other layouts and value ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError
from quietcam.image import Image

__all__ = ["as_pixels"]

_CHUNK = 1 << 24  # values converted at a time, so that a large array of floats needs little more memory


_OVERSHOOT = 512.0  # values up to this are treated as pixels of 8 bits with something added


def as_pixels(array: NDArray[Any]) -> tuple[Image, list[tuple[str, str]]]:
    """Convert an array of pictures of any layout and any range of values to uint8 ``(N, H, W, C)``.

    Returns:
        The pixels, and what had to be corrected: pairs of a rule's name (in ``quietcam.representative.rules``) and what
        was received.

    Raises:
        DataError: the array cannot be pictures.
    """
    if array.dtype.kind not in "uif" or array.size == 0:
        raise _no_pictures(array)
    doubts: list[tuple[str, str]] = []
    array = _as_nhwc(array, doubts)
    if array.dtype == np.uint8:
        return array, doubts
    low, high = _finite_range(array, doubts)
    offset, scale = _judge_range(array.dtype, low, high, doubts)
    pixels = np.empty(array.shape, np.uint8)
    step = max(1, _CHUNK // array[0].size)
    for first in range(0, len(array), step):
        values = np.nan_to_num(array[first : first + step].astype(np.float32), nan=low, posinf=high, neginf=low)
        pixels[first : first + step] = np.rint(np.clip((values - offset) * scale, 0.0, 255.0)).astype(np.uint8)
    return pixels, doubts


def _as_nhwc(array: NDArray[Any], doubts: list[tuple[str, str]]) -> NDArray[Any]:
    shape = array.shape
    if array.ndim == 5 and shape[1] == 1:  # one batch of 1 after the other, as a converter takes them
        array = array[:, 0]
    elif array.ndim == 3:
        array = array[np.newaxis] if shape[2] in (1, 3) else array[..., np.newaxis]
    if array.ndim != 4:
        raise _no_pictures(array)
    if array.shape[3] in (1, 3):
        return array
    if array.shape[1] in (1, 3):
        doubts.append(("layout", f"shape {shape}"))
        return np.moveaxis(array, 1, -1)
    raise _no_pictures(array)


def _finite_range(array: NDArray[Any], doubts: list[tuple[str, str]]) -> tuple[float, float]:
    if array.dtype.kind != "f":
        return float(array.min()), float(array.max())
    low, high, strange = np.inf, -np.inf, 0
    for part in array:
        finite = part[np.isfinite(part)]
        strange += part.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if strange:
        doubts.append(("not-finite", f"{strange} of {array.size} values that are not numbers"))
    return (low, high) if low <= high else (0.0, 0.0)


def _judge_range(dtype: np.dtype[Any], low: float, high: float, doubts: list[tuple[str, str]]) -> tuple[float, float]:
    """Offset and scale that convert values to pixels: ``(value - offset) * scale`` is in 0 to 255."""
    received = f"{dtype}, {low:.4g} to {high:.{4 if dtype.kind == 'f' else 6}g}"
    if dtype.kind in "ui" and low >= 0 and high <= 255:
        doubts.append(("dtype", received))
        return 0.0, 1.0
    if low >= -0.01 and high <= 1.01:
        doubts.append(("dtype", received))
        return 0.0, 255.0
    if low >= -4.0 and high <= 4.0:  # [-1, 1], or standardized: minus a mean, divided by a deviation
        doubts.append(("range-signed", received))
        return (-1.0, 127.5) if low >= -1.01 and high <= 1.01 else (low, 255.0 / (high - low))
    if low >= 0 and high > _OVERSHOOT:
        bits = next((bits for bits in (10, 12, 14, 16) if high < 1 << bits), 0)
        doubts.append(("bit-depth", f"{received}, which looks like {bits} bits" if bits else received))
        return 0.0, 255.0 / ((1 << bits) - 1 if bits else high)
    doubts.append(("range-255", received))
    if low >= 0 and high <= 256:
        return 0.0, 1.0
    return (-128.0, 1.0) if low >= -128.5 and high <= 128 else (low, 255.0 / max(high - low, 1e-9))


def _no_pictures(array: NDArray[Any]) -> DataError:
    return DataError(
        "Patches must be numbers of shape (count, height, width, 3) or (…, 1), with a count of at least 1. "
        f"Received: {array.dtype}, shape {array.shape}. Remedy: write the set with `quietcam calibrate`."
    )
