"""Depth-to-space on the host, against its formula and the example in the documentation of TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.blocks import depth_to_space


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([2, 4]), st.sampled_from([1, 3]))
def test_every_value_is_where_the_formula_says(rows: int, columns: int, block: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(-128, 128, (rows, columns, channels * block**2)).astype(np.int8)
    out = np.empty((rows * block, columns * block, channels), np.int8)
    depth_to_space(blocks, block, out)
    for y in range(rows * block):
        for x in range(columns * block):
            first = (y % block * block + x % block) * channels
            assert out[y, x].tolist() == blocks[y // block, x // block, first : first + channels].tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_the_example_of_tensorflows_documentation(dtype: type) -> None:
    blocks = np.array([[[1, 2, 3, 4], [5, 6, 7, 8]], [[9, 10, 11, 12], [13, 14, 15, 16]]], dtype)
    out = np.empty((4, 4, 1), dtype)
    depth_to_space(blocks, 2, out)
    assert out[..., 0].tolist() == [[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]]
