"""TileGrid cuts a frame of any size into tiles of one size, and puts them together again without seams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import UsageError
from quietcam.image import Image

__all__ = ["ONE", "Mosaic", "TileGrid", "mirror"]

_Pixel = TypeVar("_Pixel", bound=np.generic)

_AXIS_ONE = 16
ONE = _AXIS_ONE**2
"""The sum of the blend weights of a pixel: they are whole 256ths, so the sum is exact without floats."""

_SHIFT = ONE.bit_length() - 1


@dataclass(frozen=True)
class TileGrid:
    """The positions and blend weights of the tiles of a frame. Sizes are in pixels.

    Tiles begin at multiples of ``stride``, the total stride of the network. So the network's grids of stride 2 have the
    same positions in a tile as in the whole frame. If the last tile extends beyond the right or lower edge of the
    frame, the frame is mirrored. Tiles are spread evenly, and neighbors share at least ``overlap`` pixels. The outer
    ``margin`` of a tile has weight 0, except at the edge of the frame; between the margins of two tiles the weights
    form a ramp.
    If ``margin`` is half the receptive field, the result is exactly that of the network on the whole frame, except near
    the mirrored edge.

    Args:
        height, width: of the frame, at least 1.
        tile_height, tile_width: multiples of ``stride``.
        overlap: at least 0, and at least one stride smaller than the tile.
        stride: at least 1.
        margin: at most half of ``overlap``. Defaults to a quarter of it.

    Raises:
        UsageError: a value is outside these limits.
    """

    height: int
    width: int
    tile_height: int
    tile_width: int
    overlap: int = 32
    stride: int = 8
    margin: int | None = None

    def __post_init__(self) -> None:
        smallest = min(self.tile_height, self.tile_width)
        rules = {
            "height and width must be at least 1": min(self.height, self.width) >= 1,
            "stride must be at least 1": self.stride >= 1,
            "a tile must be a multiple of the stride": self.stride >= 1
            and smallest >= 1
            and self.tile_height % self.stride == self.tile_width % self.stride == 0,
            "overlap must be at least 0 and leave one stride of the tile": 0 <= self.overlap <= smallest - self.stride,
            "margin must be at least 0 and at most half of the overlap": self.margin is None
            or 0 <= 2 * self.margin <= self.overlap,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise UsageError(f"In a grid of tiles {broken[0]}. Received: {self}.")

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """The upper edges of the tiles, ascending."""
        return _origins(self.height, self.tile_height, self.overlap, self.stride)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """The left edges of the tiles, ascending."""
        return _origins(self.width, self.tile_width, self.overlap, self.stride)

    @property
    def padded_height(self) -> int:
        return max(self.height, self.rows[-1] + self.tile_height)

    @property
    def padded_width(self) -> int:
        return max(self.width, self.columns[-1] + self.tile_width)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def origin(self, index: int) -> tuple[int, int]:
        """``(y, x)`` of the upper left pixel of a tile; tiles are counted row by row."""
        row, column = divmod(index, len(self.columns))
        return self.rows[row], self.columns[column]

    def weights(self, index: int) -> NDArray[np.uint16]:
        """Blend weights of a tile: uint16 ``(tile_height, tile_width)`` in 256ths.

        At each pixel of the frame, the weights of all tiles sum to ``ONE``.
        """
        row, column = divmod(index, len(self.columns))
        return np.outer(self._row_weights[row], self._column_weights[column])

    def pad(self, image: Image, out: Image | None = None) -> Image:
        """Mirror ``image`` to ``(padded_height, padded_width, C)``, into ``out`` if given.

        An image that has this size already is returned unchanged.
        """
        if (self.padded_height, self.padded_width) == (self.height, self.width):
            return image
        if out is None:
            out = np.empty((self.padded_height, self.padded_width, image.shape[2]), np.uint8)
        out[: self.height, : self.width] = image
        mirror(out, self.height, self.width)
        return out

    def split(self, image: Image) -> Iterator[Image]:
        """The tiles of ``image`` ``(height, width, C)`` in order: views, of ``image`` if nothing is mirrored."""
        padded = self.pad(image)
        for index in range(len(self)):
            yield self.part(padded, index)

    def part(self, image: NDArray[_Pixel], index: int) -> NDArray[_Pixel]:
        """The part of ``image`` under a tile: a view, smaller than the tile if the tile extends beyond the edge."""
        y, x = self.origin(index)
        return image[y : y + self.tile_height, x : x + self.tile_width]

    def core(self, index: int) -> tuple[slice, slice]:
        """``(rows, columns)`` of the frame that are nearer to the middle of this tile than to that of any other.

        At each pixel of the frame there is exactly one core. It ends in the middle of what two neighbors share.
        """
        row, column = divmod(index, len(self.columns))
        return (
            _core(self.rows, row, self.tile_height, self.height),
            _core(self.columns, column, self.tile_width, self.width),
        )

    def merge(self, tiles: Sequence[Image]) -> Image:
        """Put tiles together to the frame ``(height, width, C)``: blended where they overlap, rounded to nearest."""
        mosaic = Mosaic(self, tiles[0].shape[2])
        for index, tile in enumerate(tiles):
            mosaic.put(index, tile)
        return mosaic.finish()

    @cached_property
    def _row_weights(self) -> NDArray[np.uint16]:
        return _axis_weights(self.rows, self.tile_height, self.overlap, self._margin)

    @cached_property
    def _column_weights(self) -> NDArray[np.uint16]:
        return _axis_weights(self.columns, self.tile_width, self.overlap, self._margin)

    @property
    def _margin(self) -> int:
        return self.overlap // 4 if self.margin is None else self.margin


class Mosaic:
    """Puts tiles together one by one, in memory that is allocated once: ``put`` each tile of a frame, then ``finish``.

    A tile may be whole, or only its part inside the frame.
    """

    def __init__(self, grid: TileGrid, channels: int) -> None:
        self._grid = grid
        self._sum = np.zeros((grid.height, grid.width, channels), np.uint16)
        self._product = np.empty((grid.tile_height, grid.tile_width, channels), np.uint16)
        # Many tiles have the same weights: each pattern is kept once. It is repeated for each channel, since numpy is
        # several times slower if it has to broadcast over three channels.
        kept: dict[bytes, NDArray[np.uint16]] = {}
        self._weights = []
        for index in range(len(grid)):
            weights = grid.weights(index)
            key = weights.tobytes()
            if key not in kept:
                kept[key] = np.repeat(weights[..., np.newaxis], channels, axis=2)
            self._weights.append(kept[key])

    def put(self, index: int, tile: Image) -> None:
        """Add tile number ``index``, uint8 ``(tile_height, tile_width, C)`` or its part inside the frame."""
        under = self._grid.part(self._sum, index)
        height, width = under.shape[:2]
        product = self._product[:height, :width]
        np.multiply(tile[:height, :width], self._weights[index][:height, :width], out=product)
        under += product

    def finish(self, out: Image | None = None) -> Image:
        """Return the frame, uint8 ``(height, width, C)``, in ``out`` if given, and start a new one."""
        total = self._sum
        total += ONE // 2
        total >>= _SHIFT
        if out is None:
            out = np.empty(total.shape, np.uint8)
        np.copyto(out, total, casting="unsafe")
        self._sum.fill(0)
        return out


def _origins(frame: int, tile: int, overlap: int, stride: int) -> tuple[int, ...]:
    """Where the tiles begin along one axis: multiples of ``stride``, spread evenly over the frame."""
    if frame <= tile:
        return (0,)
    longest_step = (tile - overlap) // stride * stride
    last = -(-(frame - tile) // stride) * stride
    steps = -(-last // longest_step)
    return tuple(last * step // steps // stride * stride for step in range(steps + 1))


def _core(origins: tuple[int, ...], index: int, tile: int, frame: int) -> slice:
    """The core of one tile along one axis of the frame."""
    middles = [(before + tile + after) // 2 for before, after in pairwise(origins)]
    edges = [0, *middles, frame]
    return slice(edges[index], edges[index + 1])


def _axis_weights(origins: tuple[int, ...], tile: int, overlap: int, margin: int) -> NDArray[np.uint16]:
    """The weights along one axis: uint16 ``(tiles, tile)`` in 16ths, which sum to 16 at every pixel."""
    depth = np.arange(tile) + 0.5 - margin  # distance of a pixel's middle from the margin
    ramp = np.clip(depth / max(overlap - 2 * margin, 1), 0.0, 1.0)
    if overlap == 2 * margin:
        ramp = (depth > 0).astype(float)
    covers = []
    total = np.zeros(origins[-1] + tile)
    for index, origin in enumerate(origins):
        rises = ramp if index > 0 else np.ones(tile)
        falls = ramp[::-1] if index < len(origins) - 1 else np.ones(tile)
        covers.append(np.minimum(rises, falls))
        total[origin : origin + tile] += covers[-1]
    # The running sum is rounded, not each weight, so that the weights sum to 16 exactly. It needs one array of the
    # frame's length: a table of all tiles by all pixels would grow with the square of that length.
    running = np.zeros_like(total)
    weights = np.empty((len(origins), tile), np.uint16)
    for index, (origin, cover) in enumerate(zip(origins, covers, strict=True)):
        under = slice(origin, origin + tile)
        before = np.rint(running[under] * _AXIS_ONE)
        running[under] += cover / total[under]
        weights[index] = np.rint(running[under] * _AXIS_ONE) - before
    return weights


def mirror(buffer: NDArray[Any], height: int, width: int) -> None:
    """Fill ``buffer`` ``(H, W, C)`` to the right of and below its upper left ``height`` x ``width`` by mirroring those.

    The edge itself is not repeated, as in numpy's ``reflect``. If more is missing than one mirror image fills, it is
    mirrored again and again.
    """
    for lines, length in ((buffer[:height].swapaxes(0, 1), width), (buffer, height)):
        missing = len(lines) - length
        if missing <= 0:
            continue
        if missing < length:  # a reversed view: nothing is allocated
            lines[length:] = lines[length - 1 - missing : length - 1][::-1]
        else:
            lines[length:] = lines[_mirror(length, len(lines))]


def _mirror(length: int, padded: int) -> NDArray[np.intp]:
    """Which pixels of an axis fill its missing pixels, from ``length`` to ``padded``: mirrored at both ends."""
    period = max(2 * (length - 1), 1)
    place = np.arange(length, padded) % period
    return np.minimum(place, period - place) if length > 1 else np.zeros_like(place)
