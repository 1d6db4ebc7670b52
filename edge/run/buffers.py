"""BufferPool: the memory of frames, used again and again."""

from __future__ import annotations

import threading

import numpy as np

from quietcam.image import Image

__all__ = ["BufferPool"]


class BufferPool:
    """Pictures of one shape at a time, handed out and taken back by any thread.

    The kernel clears each page of a new picture when it is first touched: at 1080p that takes longer than writing the
    picture. So the pool allocates nothing as long as pictures come back.

    Args:
        most: most pictures that are kept for later; others are freed.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._shape: tuple[int, ...] = ()
        self._free: list[Image] = []

    def take(self, shape: tuple[int, ...]) -> Image:
        """A uint8 array of ``shape`` with any content. A new shape frees the pictures that are kept."""
        with self._lock:
            if shape != self._shape:
                self._shape, self._free = shape, []
            if self._free:
                return self._free.pop()
        return np.empty(shape, np.uint8)

    def give(self, image: Image) -> None:
        """Take back a picture from ``take`` that nobody reads any more."""
        with self._lock:
            if image.shape == self._shape and len(self._free) < self._most:
                self._free.append(image)
