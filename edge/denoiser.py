"""Frames of any size through a model of one size: directly where they fit, in tiles where not."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from edge.interpreter import Interpreter
from edge.modelfile import ModelFile
from quietcam.image import Image, check_image, to_rgb
from quietcam.tiling import Mosaic, TileGrid

__all__ = ["Denoiser"]


class Denoiser:
    """A model, ready for frames. The memory for a frame size is taken at its first frame and kept.

    Args:
        model: a model file, or its path.
        threads: as for :class:`edge.interpreter.Interpreter`.
        overlap: what neighbouring tiles share, in pixels. Defaults to what the model's receptive field asks
            for, up to a quarter of a tile.

    Example:
        >>> with Denoiser("demo_256x256_int8.tflite") as denoiser:
        ...     denoised = denoiser.denoise(noisy)
    """

    def __init__(self, model: ModelFile | Path | str, threads: int | None = None, overlap: int | None = None) -> None:
        self.interpreter = Interpreter(model, threads)
        self.model = self.interpreter.model
        self._overlap = self.model.overlap if overlap is None else overlap
        self._tiles: _Tiles | None = None

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        """The denoised frame: uint8 ``(H, W, C)``, in ``out`` where given.

        A grayscale frame goes through an RGB model as three equal channels and comes out as RGB. An RGB frame
        goes through a grayscale model channel by channel.

        Raises:
            DataError: ``noisy`` is not uint8 ``(H, W, 3)`` or ``(H, W, 1)``.
            ModelError: the model fails.
        """
        check_image(noisy, "A frame")
        if self.model.channels == 3:
            noisy = to_rgb(noisy)
        if out is None:
            out = np.empty(noisy.shape, np.uint8)
        for first in range(0, noisy.shape[2], self.model.channels):
            channels = slice(first, first + self.model.channels)
            self._run(noisy[..., channels], out[..., channels])
        return out

    def tiles(self, height: int, width: int) -> int:
        """How often the network runs for one channel group of a frame of this size."""
        return 1 if (height, width) == self.interpreter.shape[:2] else len(self._grid(height, width))

    def close(self) -> None:
        """Give the model's memory back. May be called twice."""
        self.interpreter.close()
        self._tiles = None

    def __enter__(self) -> Denoiser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, noisy: Image, out: Image) -> None:
        if noisy.shape == self.interpreter.shape:
            self.interpreter.run(noisy, out)
            return
        height, width = noisy.shape[:2]
        if self._tiles is None or (self._tiles.grid.height, self._tiles.grid.width) != (height, width):
            self._tiles = _Tiles(self._grid(height, width), self.model.channels)
        self._tiles.run(self.interpreter, noisy, out)

    def _grid(self, height: int, width: int) -> TileGrid:
        reach = self.model.reach
        covered = reach is not None and 2 * reach <= self._overlap
        return TileGrid(
            height,
            width,
            self.model.height,
            self.model.width,
            overlap=self._overlap,
            stride=self.model.stride,
            margin=reach if covered else None,
        )


class _Tiles:
    """The memory that frames of one size need."""

    def __init__(self, grid: TileGrid, channels: int) -> None:
        self.grid = grid
        self._mosaic = Mosaic(grid, channels)
        self._padded = np.empty((grid.padded_height, grid.padded_width, channels), np.uint8)
        self._tile = np.empty((grid.tile_height, grid.tile_width, channels), np.uint8)

    def run(self, interpreter: Interpreter, noisy: Image, out: Image) -> None:
        grid = self.grid
        padded = grid.pad(noisy, self._padded)
        for index in range(len(grid)):
            y, x = grid.origin(index)
            interpreter.run(padded[y : y + grid.tile_height, x : x + grid.tile_width], self._tile)
            self._mosaic.put(index, self._tile)
        self._mosaic.finish(out)
