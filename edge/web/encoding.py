"""Encodes one view of a frame as JPEG or PNG, for viewers."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from quietcam.data.pictures.caption import with_caption
from quietcam.errors import DataError
from quietcam.image import Image

__all__ = ["VIEWS", "Encoder", "Format", "Key", "View"]

View = Literal["denoised", "noisy", "both"]
Format = Literal["jpeg", "png"]

VIEWS: tuple[View, ...] = ("denoised", "noisy", "both")
"""``both``: the noisy frame on the left of the denoised one, in one picture, so that both show the same frame."""

_PNG_LEVEL = 1  # the lowest level that compresses: a higher one does not make noise smaller


class Key(NamedTuple):
    """The view and the format that a viewer asks for."""

    view: View
    format: Format

    @property
    def needs_noisy(self) -> bool:
        return self.view != "denoised"

    @property
    def needs_denoised(self) -> bool:
        return self.view != "noisy"


class Encoder:
    """Encodes frames. Keeps its memory from frame to frame; for one thread.

    Args:
        quality: of JPEG, 1 to 100.
    """

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._rgb = self._bgr = np.empty((0, 0, 3), np.uint8)

    def encode(self, key: Key, noisy: Image | None, denoised: Image | None, caption: str | None = None) -> bytes:
        """One picture from uint8 ``(H, W, C)`` frames; the frame that the view does not show may be None. ``caption``
        becomes the comment of the picture.

        Raises:
            DataError: the encoder refuses the frame.
        """
        import cv2

        parts = [each for each, shown in ((noisy, key.needs_noisy), (denoised, key.needs_denoised)) if shown]
        images = [each for each in parts if each is not None]
        picture = images[0] if len(images) == 1 else self._side_by_side(*images)
        if self._bgr.shape[:2] != picture.shape[:2]:
            self._bgr = np.empty((*picture.shape[:2], 3), np.uint8)
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_GRAY2BGR, dst=self._bgr)
        if key.format == "jpeg":
            content = _encoded(".jpg", self._bgr, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        else:
            content = _encoded(".png", self._bgr, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        return content if caption is None else with_caption(content, caption)

    def _side_by_side(self, left: Image, right: Image) -> Image:
        import cv2

        height, width = left.shape[:2]
        if right.shape[:2] != (height, width):
            right = cv2.resize(right, (width, height)).reshape(height, width, -1).astype(np.uint8, copy=False)
        if self._rgb.shape[:2] != (height, 2 * width):
            self._rgb = np.empty((height, 2 * width, 3), np.uint8)
        self._rgb[:, :width] = left  # a gray frame spreads over the three channels
        self._rgb[:, width:] = right
        return self._rgb


def _encoded(suffix: str, bgr: Image, options: list[int]) -> bytes:
    import cv2

    try:
        done, content = cv2.imencode(suffix, bgr, options)
    except cv2.error:
        done, content = False, np.empty(0, np.uint8)
    if not done:
        raise DataError(f"A frame must have a size that {suffix} allows. Received: {bgr.shape[1]}x{bgr.shape[0]}.")
    result: Any = content
    return bytes(result.data)
