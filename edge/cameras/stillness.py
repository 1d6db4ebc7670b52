"""Stillness: since when a camera gives the very same picture, which a working sensor never does."""

from __future__ import annotations

import zlib

import numpy as np

from quietcam.image import Image

__all__ = ["Stillness"]

_SAMPLES = 32  # pixels of a side that are looked at in every frame
_BLACK, _WHITE = 8, 247  # at or beyond these a camera may show no noise
_SEEING = 0.01  # least share of values between them for a picture that shows something
_EQUAL = 3  # equal pictures in a row that make a freeze: of two, one may have been sent twice


class Stillness:
    """Since when a picture has not changed by a single byte."""

    def __init__(self) -> None:
        self._since = 0.0
        self._sample = b""
        self._sum: int | None = None
        self._equal = 0

    def seconds(self, image: Image, now: float) -> float:
        """Seconds for which the picture has been the same, from the first equal picture on; 0 before the third.

        The noise of a sensor that sees anything changes every frame. A sensor in the dark, or one that is dazzled, may
        give pictures that are all black or all white: for them the answer is 0.
        """
        step = max(1, min(image.shape[:2]) // _SAMPLES)
        view = image[::step, ::step]
        sample = view.tobytes()
        total: int | None = None
        if sample == self._sample and ((view > _BLACK) & (view < _WHITE)).mean() > _SEEING:
            total = zlib.crc32(np.ascontiguousarray(image).data)  # costs time, so only where the samples are equal
            if total == self._sum:
                self._equal += 1
                return now - self._since if self._equal >= _EQUAL else 0.0
        self._sample, self._sum, self._since, self._equal = sample, total, now, 1
        return 0.0
