"""Tiles: how frames of one size are cut for a model, and the memory that this takes, made once."""

from __future__ import annotations

import numpy as np

from edge.network.engine import Engine
from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from quietcam.image import Image
from quietcam.tiling import Mosaic, TileGrid

__all__ = ["Tiles", "grid_of"]


def grid_of(model: ModelFile, height: int, width: int, overlap: int | None = None) -> TileGrid:
    """The grid for frames of ``height`` x ``width``. ``overlap`` defaults to what the model asks for."""
    overlap = model.overlap if overlap is None else overlap
    reach = model.reach
    covered = reach is not None and 2 * reach <= overlap
    return TileGrid(
        height,
        width,
        model.height,
        model.width,
        overlap=overlap,
        stride=model.stride,
        margin=reach if covered else None,
    )


class Tiles:
    """The memory that frames of one size need."""

    def __init__(self, grid: TileGrid, channels: int) -> None:
        self.grid = grid
        self._mosaic = Mosaic(grid, channels)
        self._tile = np.empty((grid.tile_height, grid.tile_width, channels), np.uint8)

    def run(self, engine: Engine, noisy: Image, out: Image) -> bool:
        """``noisy`` through ``engine`` into ``out``; False where nothing can run it."""

        def take(index: int, interpreter: Interpreter) -> None:
            interpreter.get(self._tile)
            self._mosaic.put(index, self._tile)

        whole = engine.run(len(self.grid), lambda index: self.grid.part(noisy, index), take)
        self._mosaic.finish(out)  # of a broken frame, too: the next one starts afresh
        return whole
