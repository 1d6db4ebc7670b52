"""BufferPool: the memory of frames, used again and again."""

from __future__ import annotations

import threading

import numpy as np

from quietcam.image import Image

__all__ = ["BufferPool"]


class BufferPool:
    """Pictures of one shape at a time, handed out and taken back by any thread.

    A picture that large comes fresh from the kernel, which clears each of its pages when it is first touched: at 1080p
    that takes longer than writing it. So nothing is allocated while what was handed out comes back.

    Args:
        most: how many are kept for later; more than that are let go.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._shape: tuple[int, ...] = ()
        self._free: list[Image] = []

    def take(self, shape: tuple[int, ...]) -> Image:
        """uint8 of ``shape``, holding anything. Another shape than before lets go of what is kept."""
        with self._lock:
            if shape != self._shape:
                self._shape, self._free = shape, []
            if self._free:
                return self._free.pop()
        return np.empty(shape, np.uint8)

    def give(self, image: Image) -> None:
        """Take back what ``take`` handed out, once nobody reads it."""
        with self._lock:
            if image.shape == self._shape and len(self._free) < self._most:
                self._free.append(image)
