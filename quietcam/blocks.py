"""Depth-to-space on the host, for graphs that end before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["depth_to_space"]


def depth_to_space(blocks: NDArray[Any], block: int, out: NDArray[Any]) -> None:
    """Rearrange the depths of ``blocks`` to blocks of pixels, as ``depth_to_space`` of TensorFlow does (NHWC).

    ``out[y * b + j, x * b + i, c] = blocks[y, x, (j * b + i) * C + c]`` for ``b = block``. Values do not change.

    Args:
        blocks: ``(H / b, W / b, C * b * b)`` of any dtype.
        out: ``(H, W, C)`` of the same dtype, contiguous.
    """
    rows, columns, depth = blocks.shape
    channels = depth // block**2
    # A row of a block is contiguous in both arrays: numpy moves it as one item.
    run = np.dtype((np.void, block * channels * blocks.itemsize))
    source = blocks.reshape(rows, columns, block, -1).view(run)[..., 0]
    target = out.reshape(rows, block, columns, -1).view(run)[..., 0]
    for line in range(block):
        target[:, line] = source[:, :, line]
