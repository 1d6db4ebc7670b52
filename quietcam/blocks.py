"""Depth-to-space on the host: what a graph leaves over that ends before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["depth_to_space"]


def depth_to_space(blocks: NDArray[Any], block: int, out: NDArray[Any]) -> None:
    """Lay the depths of ``blocks`` out as blocks of pixels, as TensorFlow's ``depth_to_space`` does (NHWC).

    ``out[y * b + j, x * b + i, c] = blocks[y, x, (j * b + i) * C + c]`` for ``b = block``: bytes move, none changes.

    Args:
        blocks: ``(H / b, W / b, C * b * b)`` of any dtype.
        out: ``(H, W, C)`` of the same dtype, contiguous.
    """
    rows, columns, depth = blocks.shape
    channels = depth // block**2
    # One row of a block is a run of bytes in both: numpy moves it as one item.
    run = np.dtype((np.void, block * channels * blocks.itemsize))
    source = blocks.reshape(rows, columns, block, -1).view(run)[..., 0]
    target = out.reshape(rows, block, columns, -1).view(run)[..., 0]
    for line in range(block):
        target[:, line] = source[:, :, line]
