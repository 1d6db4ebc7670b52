"""Pixels of RGB as YUYV, the format that every program takes from a camera."""

from __future__ import annotations

import numpy as np

from quietcam.image import Image

__all__ = ["to_yuyv"]

# ITU-R BT.601 in the limited range: Y is 16 to 235, Cb and Cr are 16 to 240 around 128.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
_LUMA = (_RED, _GREEN, _BLUE)
_CB = tuple(each / (2 * (1 - _BLUE)) for each in (-_RED, -_GREEN, 1 - _BLUE))
_CR = tuple(each / (2 * (1 - _RED)) for each in (1 - _RED, -_GREEN, -_BLUE))
_MATRIX = np.array(
    [
        [*(each * 219 / 255 for each in _LUMA), 16],
        [*(each * 224 / 255 for each in _CB), 128],
        [*(each * 224 / 255 for each in _CR), 128],
    ],
    np.float32,
)


def to_yuyv(picture: Image) -> Image:
    """YUYV of RGB, in the colors of BT.601 and the limited range; two pixels side by side share their color.

    Args:
        picture: uint8 ``(H, W, 3)`` with an even W.

    Returns:
        uint8 ``(H, W, 2)``: Y and Cb of one pixel, Y and Cr of the next.
    """
    import cv2

    height, width = picture.shape[:2]
    yuv = cv2.transform(picture, _MATRIX)
    pairs = cv2.resize(yuv, (width // 2, height), interpolation=cv2.INTER_AREA)  # the mean of each pair
    packed = np.empty((height, width, 2), np.uint8)
    packed[..., 0] = yuv[..., 0]
    packed[:, 0::2, 1] = pairs[..., 1]
    packed[:, 1::2, 1] = pairs[..., 2]
    return packed
