"""The memory of frames, which is used again."""

from __future__ import annotations

import numpy as np

from edge.run.buffers import BufferPool


def test_what_comes_back_is_handed_out_again() -> None:
    pool = BufferPool()
    first = pool.take((4, 5, 3))
    assert (first.shape, first.dtype) == ((4, 5, 3), np.uint8)
    second = pool.take((4, 5, 3))
    assert not np.shares_memory(first, second)
    pool.give(first)
    assert pool.take((4, 5, 3)) is first


def test_another_shape_frees_the_old_memory() -> None:
    pool = BufferPool()
    small = pool.take((4, 5, 3))
    pool.give(small)
    large = pool.take((8, 5, 3))
    pool.give(small)  # comes back late, and is of no use any more
    pool.give(large)
    assert pool.take((8, 5, 3)) is large
    assert pool.take((8, 5, 3)).shape == (8, 5, 3)


def test_no_more_is_kept_than_was_said() -> None:
    pool = BufferPool(most=2)
    images = [pool.take((1, 1, 3)) for _ in range(5)]
    for image in images:
        pool.give(image)
    again = [pool.take((1, 1, 3)) for _ in range(5)]
    assert sum(any(each is image for image in images) for each in again) == 2
