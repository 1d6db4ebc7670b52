"""Images as arrays: conversions between uint8 and float, RGB and BGR, RGB and gray; the check of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError

__all__ = [
    "FloatImage",
    "Image",
    "as_channels",
    "check_image",
    "even_sides",
    "swap_red_blue",
    "to_float",
    "to_gray",
    "to_rgb",
    "to_uint8",
]

Image = NDArray[np.uint8]
"""uint8 ``(H, W, C)``, C = 3 in RGB order or 1: the form of an image between stages."""

FloatImage = NDArray[np.float32]
"""float32 ``(H, W, C)`` in [0, 1]: used only inside a stage."""


def to_float(image: Image) -> FloatImage:
    """Convert uint8 ``(..., C)`` to float32 in [0, 1]."""
    scaled: FloatImage = np.asarray(image, np.float32) / np.float32(255.0)
    return scaled


def to_uint8(image: NDArray[Any]) -> Image:
    """Convert float ``(..., C)`` to uint8: clip to [0, 1], multiply by 255, round half to even."""
    steps: Image = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return steps


def swap_red_blue(image: Image) -> Image:
    """Convert RGB to BGR or back, in contiguous memory as OpenCV needs it. One channel is returned unchanged."""
    return image if image.shape[-1] == 1 else np.ascontiguousarray(image[..., ::-1])


def check_image(image: NDArray[Any], name: str = "image") -> Image:
    """Return ``image`` if it is uint8 ``(H, W, 3)`` or ``(H, W, 1)`` and not empty.

    Raises:
        DataError: it is not. The message calls it ``name``.
    """
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"{name} must be a numpy array, uint8 of shape (height, width, 3) in RGB order, or (height, width, 1). "
            f"Received: {type(image).__name__}."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise DataError(
            f"{name} must be uint8 of shape (height, width, 3) in RGB order, or (height, width, 1). "
            f"Received: dtype={image.dtype}, shape={image.shape}."
        )
    return image


def even_sides(image: Image) -> Image:
    """``image`` in contiguous memory, with sides that are even: the last row and column of an odd one are repeated.

    >>> even_sides(np.zeros((3, 5, 1), np.uint8)).shape
    (4, 6, 1)
    """
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)


def as_channels(image: Image, channels: int) -> Image:
    """Convert to ``(H, W, channels)``: RGB for 3, gray for 1."""
    return to_rgb(image) if channels == 3 else to_gray(image)


def to_gray(image: Image) -> Image:
    """Convert RGB to its luma ``(H, W, 1)``, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded.

    One channel is returned unchanged. Three equal channels give that channel.
    """
    if image.shape[2] == 1:
        return image
    # In 65536ths that sum to one, so all arithmetic is exact integer arithmetic.
    luma = image.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((luma + 32768) >> 16).astype(np.uint8)[..., np.newaxis]


def to_rgb(image: Image) -> Image:
    """Convert ``(H, W, 1)`` to three equal channels. ``(H, W, 3)`` is returned unchanged."""
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
