"""FrameNetwork: a network for frames of any size, with the memory that they need."""

from __future__ import annotations

import numpy as np

from edge.models import resize_command
from edge.network.engine import Engine
from edge.network.modelfile import ModelFile
from edge.network.tiles import Tiles, grid_of
from quietcam.image import Image
from quietcam.terminal.log import log
from quietcam.tiling import TileGrid

__all__ = ["FrameNetwork"]


class FrameNetwork:
    """Puts frames of any size through a network of one size: whole if they fit, in tiles if they do not.

    Memory for a frame size is allocated at its first frame. It is used by one thread at a time.

    Args:
        engine: runs the network. ``close`` closes it.
        overlap: pixels that neighboring tiles share; None: as many as the model needs.
        advises: the log names a command that makes a model for larger frames.
    """

    def __init__(self, engine: Engine, overlap: int | None = None, advises: bool = False) -> None:
        self.engine = engine
        self._overlap, self._advises = overlap, advises
        self._tiles: dict[tuple[int, int], Tiles] = {}
        self._halves: tuple[Image, Image] | None = None

    @property
    def model(self) -> ModelFile:
        """The model file of the network."""
        return self.engine.model

    def prepare(self, size: tuple[int, int], before: FrameNetwork) -> None:
        """Allocate now what frames of ``size`` ``(height, width)`` need, and what the network ``before`` has needed."""
        for each in {size, *before._tiles}:
            if not self._fits(each):
                self._tiles[each] = self._cut(each)
        self._halves = before._halves

    def run(self, noisy: Image, out: Image, half: bool = False) -> bool:
        """Write the network's picture of ``noisy`` into ``out``, both uint8 ``(H, W, C)``.

        A grayscale model takes channel by channel.

        Args:
            half: the network sees the frame at half its width and height; the result is enlarged again.

        Returns:
            False if no device can run the network; ``out`` then holds anything.

        Raises:
            ModelError: the network fails.
        """
        return self._half(noisy, out) if half else self._whole(noisy, out)

    def close(self) -> None:
        """Free the network and the memory. May be called twice."""
        self.engine.close()
        self._tiles, self._halves = {}, None

    def _whole(self, noisy: Image, out: Image, half: bool = False) -> bool:
        channels = self.model.channels
        return all(
            self._run(noisy[..., first : first + channels], out[..., first : first + channels], half)
            for first in range(0, noisy.shape[2], channels)
        )

    def _half(self, noisy: Image, out: Image) -> bool:
        import cv2

        height, width, channels = noisy.shape
        shape = (height + 1) // 2, (width + 1) // 2, channels
        if self._halves is None or self._halves[0].shape != shape:
            self._halves = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        small, quiet = self._halves
        cv2.resize(noisy, (shape[1], shape[0]), dst=small, interpolation=cv2.INTER_AREA)
        if not self._whole(small, quiet, half=True):
            return False
        cv2.resize(quiet, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
        return True

    def _run(self, noisy: Image, out: Image, half: bool) -> bool:
        size = noisy.shape[:2]
        if self._fits(size):
            return self.engine.run(1, lambda _: noisy, lambda _, interpreter: interpreter.get(out))
        tiles = self._tiles.get(size)
        if tiles is None:
            if len(self._tiles) > 1:  # the frames' own size and half of it are kept
                self._tiles = {}
            tiles = self._tiles[size] = self._cut(size, advises=self._advises and not half)
        return tiles.run(self.engine, noisy, out)

    def _fits(self, size: tuple[int, int]) -> bool:
        """Whether a frame of this size goes through the model whole."""
        return size[0] <= self.model.height and size[1] <= self.model.width

    def _cut(self, size: tuple[int, int], advises: bool = False) -> Tiles:
        tiles = Tiles(grid_of(self.model, *size, self._overlap), self.model.channels)
        if advises and (advice := _advice(self.model, tiles.grid)):
            log.info(advice)
        return tiles


def _advice(model: ModelFile, grid: TileGrid) -> str | None:
    width, height = (-(-side // grid.stride) * grid.stride for side in (grid.width, grid.height))
    command = resize_command(model, width, height)
    return command and (
        f"{model.name} takes a frame of {grid.width}x{grid.height} in {len(grid)} tiles; "
        f"`{command}` makes a model that takes it at once, and faster"
    )
