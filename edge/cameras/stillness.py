"""Stillness: how long a camera has repeated the same picture, which a working sensor never does."""

from __future__ import annotations

import zlib

import numpy as np

from quietcam.image import Image

__all__ = ["Stillness"]

_SAMPLES = 32  # pixels on each side that are compared in every frame
_BLACK, _WHITE = 8, 247  # values at or beyond these may show no noise
_SEEING = 0.01  # smallest share of values between the two in a picture that shows something
_EQUAL = 3  # equal pictures in a row that count as a freeze; two equal ones may be one picture that was sent twice


class Stillness:
    """Measures for how long a picture has not changed by a single byte."""

    def __init__(self) -> None:
        self._since = 0.0
        self._sample = b""
        self._sum: int | None = None
        self._equal = 0

    def seconds(self, image: Image, now: float) -> float:
        """Seconds for which the picture has been the same, from the first equal picture on; 0 before the third.

        The noise of a sensor changes with every frame. Only a sensor in the dark, or one in glaring light, may give
        equal pictures: all black or all white. For these the answer is 0.
        """
        step = max(1, min(image.shape[:2]) // _SAMPLES)
        view = image[::step, ::step]
        sample = view.tobytes()
        total: int | None = None
        if sample == self._sample and ((view > _BLACK) & (view < _WHITE)).mean() > _SEEING:
            total = zlib.crc32(np.ascontiguousarray(image).data)  # slow, so only if the samples are equal
            if total == self._sum:
                self._equal += 1
                return now - self._since if self._equal >= _EQUAL else 0.0
        self._sample, self._sum, self._since, self._equal = sample, total, now, 1
        return 0.0
