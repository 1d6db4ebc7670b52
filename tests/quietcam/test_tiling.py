"""TileGrid: properties for any size; a network of known receptive field gives the same on tiles as on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.tiling import ONE, Mosaic, TileGrid


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    """Any valid grid, for frames from one pixel to several tiles."""
    stride = draw(st.sampled_from([1, 2, 4, 8]))
    tile_height, tile_width = (stride * draw(st.integers(2, 6)) for _ in range(2))
    overlap = draw(st.integers(0, min(tile_height, tile_width) - stride))
    margin = draw(st.none() | st.integers(0, overlap // 2))
    height, width = (draw(st.integers(1, 90)) for _ in range(2))
    return TileGrid(height, width, tile_height, tile_width, overlap, stride, margin)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def summed_weights(grid: TileGrid) -> NDArray[np.int64]:
    total = np.zeros((grid.padded_height, grid.padded_width), np.int64)
    for index in range(len(grid)):
        y, x = grid.origin(index)
        total[y : y + grid.tile_height, x : x + grid.tile_width] += grid.weights(index)
    return total


@given(grids())
def test_weights_sum_to_one_everywhere(grid: TileGrid) -> None:
    assert (summed_weights(grid) == ONE).all()


@given(grids())
def test_tiles_begin_at_multiples_of_the_stride_and_cover_the_frame(grid: TileGrid) -> None:
    for origins, frame, tile in (
        (grid.rows, grid.height, grid.tile_height),
        (grid.columns, grid.width, grid.tile_width),
    ):
        assert all(origin % grid.stride == 0 for origin in origins)
        assert origins[0] == 0
        assert origins[-1] + tile >= frame
        assert origins[-1] + tile < max(frame, tile) + grid.stride, "more is mirrored than the stride asks for"
        steps = np.diff(origins)
        assert (steps > 0).all()
        assert (tile - steps >= grid.overlap).all()


@given(grids())
def test_each_pixel_is_in_the_core_of_one_tile_far_from_its_edge(grid: TileGrid) -> None:
    owners = np.zeros((grid.height, grid.width), np.int64)
    for index in range(len(grid)):
        rows, columns = grid.core(index)
        owners[rows, columns] += 1
        for core, origin, tile, frame in (
            (rows, grid.origin(index)[0], grid.tile_height, grid.height),
            (columns, grid.origin(index)[1], grid.tile_width, grid.width),
        ):
            assert core.start == 0 or core.start - origin >= grid.overlap // 2
            assert core.stop == frame or origin + tile - core.stop >= grid.overlap // 2
    assert (owners == 1).all()


@given(grids(), st.sampled_from([1, 3]))
def test_split_and_merge_give_the_picture_back(grid: TileGrid, channels: int) -> None:
    image = picture(grid.height, grid.width, channels)
    tiles = list(grid.split(image))
    assert all(tile.shape == (grid.tile_height, grid.tile_width, channels) for tile in tiles)
    np.testing.assert_array_equal(grid.merge(tiles), image)


@given(grids())
def test_padding_equals_reflect_of_numpy(grid: TileGrid) -> None:
    image = picture(grid.height, grid.width)
    below, right = grid.padded_height - grid.height, grid.padded_width - grid.width
    expected = np.pad(image, ((0, below), (0, right), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(grid.pad(image), expected)


@given(grids(), st.integers(0, 255))
def test_a_flat_field_has_no_seam(grid: TileGrid, level: int) -> None:
    tile = np.full((grid.tile_height, grid.tile_width, 1), level, np.uint8)
    assert (grid.merge([tile] * len(grid)) == level).all()


@given(grids())
def test_a_margin_has_no_weight(grid: TileGrid) -> None:
    margin = grid.overlap // 4 if grid.margin is None else grid.margin
    for index in range(len(grid)):
        y, x = grid.origin(index)
        weights = grid.weights(index)
        if y > 0:
            assert not weights[:margin].any()
        if y < grid.rows[-1]:
            assert not weights[grid.tile_height - margin :].any()
        if x > 0:
            assert not weights[:, :margin].any()
        if x < grid.columns[-1]:
            assert not weights[:, grid.tile_width - margin :].any()


def filter_with_phase(image: Image) -> Image:
    """A 5x5 box filter with zeros outside, times a pattern of period 4: as a network of reach 2 and stride 4."""
    wide = np.pad(image.astype(np.int64), ((2, 2), (2, 2), (0, 0)))
    height, width = image.shape[:2]
    total = sum(wide[y : y + height, x : x + width] for y in range(5) for x in range(5))
    phase = (np.arange(height)[:, None] % 4 * 4 + np.arange(width) % 4)[..., None]
    return ((total + 3 * phase) // 25).astype(np.uint8)


@settings(max_examples=50)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(4, 12))
def test_tiled_equals_whole_where_the_overlap_covers_the_reach(rows: int, columns: int, overlap: int) -> None:
    image = picture(4 * rows, 4 * columns)
    grid = TileGrid(*image.shape[:2], 16, 16, overlap, stride=4, margin=2)
    tiled = grid.merge([filter_with_phase(tile) for tile in grid.split(image)])
    # A frame below the size of a tile is mirrored: no zeros are seen at its lower and right edge.
    height = slice(None) if image.shape[0] >= 16 else slice(-2)
    width = slice(None) if image.shape[1] >= 16 else slice(-2)
    np.testing.assert_array_equal(tiled[height, width], filter_with_phase(image)[height, width])


def test_tiled_differs_from_whole_without_a_margin() -> None:
    image = picture(40, 40)
    grid = TileGrid(40, 40, 16, 16, overlap=4, stride=4, margin=0)
    tiled = grid.merge([filter_with_phase(tile) for tile in grid.split(image)])
    assert (tiled != filter_with_phase(image)).any()


def test_the_blend_is_as_worked_out_by_hand() -> None:
    grid = TileGrid(1, 12, 1, 8, overlap=0, stride=1, margin=0)
    assert grid.columns == (0, 4)
    tiles = [np.zeros((1, 8, 1), np.uint8), np.full((1, 8, 1), 160, np.uint8)]
    assert grid.merge(tiles)[0, :, 0].tolist() == [0] * 4 + [80] * 4 + [160] * 4


def test_the_ramp_is_as_worked_out_by_hand() -> None:
    tile = np.ones((8, 12, 1), np.uint8)
    grid = TileGrid(8, 16, 8, 12, overlap=7, stride=1, margin=2)
    assert grid.columns == (0, 4)
    # Eight pixels are shared: two are margin, then three of the ramp, on each side.
    left, right = grid.weights(0)[0] / ONE, grid.weights(1)[0] / ONE
    assert left[4:6].tolist() == [1, 1]
    assert left[10:].tolist() == [0, 0]
    assert right[:2].tolist() == [0, 0]
    assert (np.diff(left[4:]) <= 0).all()
    np.testing.assert_array_equal(left[4:] + right[:8], 1)
    assert (grid.merge([tile, tile]) == 1).all()


def test_grids_of_4k_frames_and_of_strips() -> None:
    for height, width in ((2160, 3840), (1, 700), (700, 1), (1, 1)):
        grid = TileGrid(height, width, 256, 256)
        image = picture(height, width)
        np.testing.assert_array_equal(grid.merge(list(grid.split(image))), image)


def test_a_mosaic_starts_anew_after_each_frame_and_writes_into_out() -> None:
    grid = TileGrid(20, 30, 16, 16, 4, 4)
    mosaic = Mosaic(grid, 3)
    out = np.empty((20, 30, 3), np.uint8)
    for seed in range(2):
        image = picture(20, 30, seed=seed)
        for index, tile in enumerate(grid.split(image)):
            mosaic.put(index, tile)
        assert mosaic.finish(out) is out
        np.testing.assert_array_equal(out, image)


def test_a_frame_that_fits_is_not_copied() -> None:
    grid = TileGrid(40, 64, 16, 16, 4, 4)
    image = picture(40, 64)
    assert grid.pad(image) is image
    assert all(np.shares_memory(tile, image) for tile in grid.split(image))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ((0, 10, 16, 16, 4, 4), "height and width"),
        ((10, 10, 16, 16, 4, 0), "stride must"),
        ((10, 10, 16, 18, 4, 4), "multiple of the stride"),
        ((10, 10, 0, 16, 4, 4), "multiple of the stride"),
        ((10, 10, 16, 16, 13, 4), "overlap"),
        ((10, 10, 16, 16, -1, 4), "overlap"),
        ((10, 10, 16, 16, 8, 4, 5), "margin"),
        ((10, 10, 16, 16, 8, 4, -1), "margin"),
    ],
)
def test_impossible_grids_are_refused(values: tuple[int, ...], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        TileGrid(*values)
