"""Pixels of RGB as luma and color difference, in the layouts that cameras give and encoders take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image

__all__ = ["to_yuv420", "to_yuyv"]


def _matrix(red: float, blue: float) -> NDArray[np.float32]:
    """Y, Cb and Cr of R, G, B, 1 in steps of 255, in the limited range: Y is 16 to 235, Cb and Cr are 16 to 240 around
    128 (ITU-R BT.601 and BT.709, which differ in the weights of red and blue).
    """
    luma = np.array([red, 1 - red - blue, blue])
    differences = (np.eye(3)[channel] - luma for channel in (2, 0))
    cb, cr = (each / each.max() / 2 * 224 / 255 for each in differences)
    return np.array([[*luma * 219 / 255, 16], [*cb, 128], [*cr, 128]], np.float32)


_BT601, _BT709 = _matrix(0.299, 0.114), _matrix(0.2126, 0.0722)


def to_yuyv(picture: Image) -> Image:
    """YUYV, in the colors of BT.601 and the limited range; two pixels side by side share the mean of their colors.

    Args:
        picture: uint8 ``(H, W, 3)`` RGB with an even W.

    Returns:
        uint8 ``(H, W, 2)``: Y and Cb of one pixel, Y and Cr of the next.
    """
    height, width = picture.shape[:2]
    whole, pairs = _converted(picture, _BT601, (width // 2, height))
    packed = np.empty((height, width, 2), np.uint8)
    packed[..., 0] = whole[..., 0]
    packed[:, 0::2, 1] = pairs[..., 1]
    packed[:, 1::2, 1] = pairs[..., 2]
    return packed


def to_yuv420(picture: Image) -> tuple[Image, Image, Image]:
    """Planes of 4:2:0, in the colors of BT.709 and the limited range; four pixels share the mean of their colors.

    Args:
        picture: uint8 ``(H, W, 3)`` RGB with even sides.

    Returns:
        Y, uint8 ``(H, W)``, then Cb and Cr, uint8 ``(H / 2, W / 2)``.
    """
    height, width = picture.shape[:2]
    whole, quarters = _converted(picture, _BT709, (width // 2, height // 2))
    return whole[..., 0], quarters[..., 1], quarters[..., 2]


def _converted(picture: Image, matrix: NDArray[np.float32], size: tuple[int, int]) -> tuple[Any, Any]:
    """Y, Cb and Cr of all pixels, and the means that are left in a smaller ``(width, height)``."""
    import cv2

    whole = cv2.transform(picture, matrix)
    return whole, cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
