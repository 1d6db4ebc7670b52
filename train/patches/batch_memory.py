"""Memory for batches that is used again when its batch is released."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatchMemory"]

_ALIGNMENT = 64
"""Bytes. TensorFlow uses numpy memory with this alignment directly, and copies any other."""


class BatchMemory:
    """Memory for batches. It is reused when its batch is released, because fresh memory costs as much time as copying
    the pixels."""

    _MOST = 32

    def __init__(self) -> None:
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=self._MOST)
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
        """An array of that shape and type, not filled, aligned so that TensorFlow uses it without a copy.

        The array and all views of it hold a loan of the memory. When the last of them is gone, the loan ends, and the
        memory is free again.
        """
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        block = self._take(size + _ALIGNMENT)
        loan = (ctypes.c_uint8 * block.size).from_buffer(block.data)
        # Without the lock: Python calls this wherever a batch is released, also within `_take`. A deque needs none.
        weakref.finalize(loan, self._free.append, block).atexit = False
        start = -block.ctypes.data % _ALIGNMENT
        pixels = np.frombuffer(memoryview(loan), np.uint8)
        return pixels[start : start + size].view(kind).reshape(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        with self._lock:
            for _ in range(len(self._free)):
                block = self._free.popleft()
                if block.size == size:
                    return block
                self._free.append(block)  # of the last batch of a set, which is smaller
        return np.empty(size, np.uint8)
