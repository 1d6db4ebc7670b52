"""Trigger: decides which frames the spool keeps, at intervals or when the picture changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image

__all__ = ["Trigger"]

_COLUMNS, _ROWS = 16, 12
_STRIDE = 2  # every second pixel of every second row: noise still averages out


class Trigger:
    """Decides for each frame. Call ``kept`` when a frame was kept.

    The picture is divided into 16 x 12 blocks. It has changed if the mean of one block moved by ``change`` steps of 255
    relative to the median of all blocks. A lamp or a cloud that brightens everything equally is not a change; noise is
    not either, because it averages out over a block.

    Args:
        every: seconds between timed frames; None: no timed frames.
        change: steps of 255; None: changes do not count.
        gap: the fewest seconds between two frames that are kept for a change.
    """

    def __init__(self, every: float | None, change: float | None, gap: float) -> None:
        self._every, self._change, self._gap = every, change, gap
        self._last: float | None = None
        self._blocks: NDArray[np.float64] | None = None

    def due(self, now: float) -> bool:
        """Whether any frame must be kept at ``now``, in monotonic seconds. The first frame is always kept."""
        return self._last is None or (self._every is not None and now - self._last >= self._every)

    def wants(self, image: Image, now: float) -> bool:
        """Whether to keep uint8 ``(H, W, C)`` at ``now``."""
        if self._last is None or self.due(now):
            return True
        before = self._blocks  # the sink's thread may replace it while the network's thread compares
        if self._change is None or now - self._last < self._gap or before is None:
            return False
        blocks = _blocks(image)
        if blocks.shape != before.shape:  # the frame has another size and few pixels
            return True
        moved = blocks - before
        return bool(np.abs(moved - np.median(moved)).max() >= self._change)

    def kept(self, image: Image, now: float) -> None:
        """Remember that this frame was kept: later ones are compared with it."""
        self._last = now
        if self._change is not None:
            self._blocks = _blocks(image)


def _blocks(image: Image) -> NDArray[np.float64]:
    """Mean green (or gray) of each block, ``(rows, columns)``; a picture of few pixels has fewer blocks."""
    plane = image[::_STRIDE, ::_STRIDE, image.shape[2] // 2]
    rows, columns = min(_ROWS, plane.shape[0]), min(_COLUMNS, plane.shape[1])
    height, width = plane.shape[0] // rows, plane.shape[1] // columns
    cut = plane[: rows * height, : columns * width].reshape(rows, height, columns, width)
    means: NDArray[np.float64] = cut.mean(axis=(1, 3))
    return means
