"""Tiles: how frames of one size are cut for a model, with memory that is allocated once."""

from __future__ import annotations

import numpy as np

from edge.network.engine import Engine
from edge.network.history import History
from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from quietcam.image import Image
from quietcam.tiling import Mosaic, TileGrid

__all__ = ["Tiles", "grid_of"]


def grid_of(model: ModelFile, height: int, width: int, overlap: int | None = None) -> TileGrid:
    """The grid of tiles for frames of ``height`` x ``width`` pixels. ``overlap`` defaults to the model's own."""
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
    """Puts frames of one size through a model, tile by tile. Its memory is allocated once."""

    def __init__(self, grid: TileGrid, channels: int) -> None:
        self.grid = grid
        self._mosaic = Mosaic(grid, channels)
        self._tile = np.empty((grid.tile_height, grid.tile_width, channels), np.uint8)

    def run(self, engine: Engine, noisy: Image, out: Image, history: History | None = None) -> bool:
        """Denoise ``noisy`` into ``out``, both uint8 ``(H, W, C)``. False if no device can run the network.

        ``history``: of a video network, for this grid.
        """

        def take(index: int, interpreter: Interpreter) -> None:
            interpreter.get(self._tile)
            self._mosaic.put(index, self._tile)

        whole = engine.run(len(self.grid), lambda index: self.grid.part(noisy, index), take, history)
        self._mosaic.finish(out)  # also after a failure: the next frame must start from nothing
        if whole and history is not None:
            history.turn()
        return whole
