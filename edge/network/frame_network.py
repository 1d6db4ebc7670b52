"""FrameNetwork: a network for frames of any size, with the memory that they need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.models import resize_command
from edge.network.engine import Engine
from edge.network.history import History
from edge.network.modelfile import ModelFile
from edge.network.tiles import Tiles, grid_of
from quietcam.image import Image
from quietcam.terminal.log import log
from quietcam.tiling import TileGrid

__all__ = ["FrameNetwork"]


_Kind = tuple[int, int, bool]
"""A kind of frame: height and width that the network sees, and whether these are half of the frame's own."""


@dataclass
class _Memory:
    """What frames of one kind need.

    Attributes:
        tiles: None where a frame fits into the network.
        histories: of a video network: one for each of the frame's channels if the network is grayscale, else one.
        picture: of the history, when it is asked for.
    """

    tiles: Tiles | None
    histories: list[History]
    picture: Image | None = None


class FrameNetwork:
    """Puts frames of any size through a network of one size: whole if they fit, in tiles if they do not.

    Memory for a frame size is allocated at its first frame. It is used by one thread at a time.

    A video network gets back what it gave to remember of the last frame. Frames of another size, and frames at half
    their size, have a past of their own. A frame that fails leaves no past.

    Args:
        engine: runs the network. ``close`` closes it.
        overlap: pixels that neighboring tiles share; None: as many as the model needs.
        advises: the log names a command that makes a model for larger frames.
    """

    def __init__(self, engine: Engine, overlap: int | None = None, advises: bool = False) -> None:
        self.engine = engine
        self._overlap, self._advises = overlap, advises
        self._remembers = engine.model.remembers
        self._memories: dict[_Kind, _Memory] = {}
        self._last: _Kind | None = None
        self._halves: tuple[Image, Image] | None = None

    @property
    def model(self) -> ModelFile:
        """The model file of the network."""
        return self.engine.model

    def prepare(self, size: tuple[int, int], before: FrameNetwork) -> None:
        """Allocate now what frames of ``size`` ``(height, width)`` need, and what the network ``before`` has needed."""
        for kind in {_kind(size), *before._memories}:
            if not self._fits(kind):
                self._memories[kind] = _Memory(self._cut(kind), [])
        self._halves = before._halves

    def forget(self) -> None:
        """Let the next frame of every size have no past."""
        for memory in self._memories.values():
            for history in memory.histories:
                history.forget()

    def history(self, size: tuple[int, int] | None = None, half: bool = False) -> Image | None:
        """What a video network remembers now.

        Args:
            size: ``(height, width)`` of the frame; None means the last frame, at half its size if it was seen so.
            half: of frames that the network sees at half of ``size``.

        Returns:
            The history as a picture, uint8 ``(H, W, C)`` of the size that the network saw, in memory that the next
            call uses again. None where the next frame has no past, and for a still network.
        """
        kind = self._last if size is None else _kind(size, half)
        memory = self._memories.get(kind) if kind else None
        if kind is None or memory is None or not memory.histories or any(each.is_empty for each in memory.histories):
            return None
        channels = self.model.channels
        shape = kind[0], kind[1], channels * len(memory.histories)
        if memory.picture is None or memory.picture.shape != shape:
            memory.picture = np.empty(shape, np.uint8)
        for number, history in enumerate(memory.histories):
            history.picture(memory.picture[..., number * channels : (number + 1) * channels])
        return memory.picture

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
        self._memories, self._halves, self._last = {}, None, None

    def _whole(self, noisy: Image, out: Image, half: bool = False) -> bool:
        height, width, channels = noisy.shape
        each = self.model.channels
        self._last = kind = height, width, half
        memory = self._memory(kind, channels)
        whole = False
        try:
            whole = all(
                self._run(noisy[..., first : first + each], out[..., first : first + each], memory, first // each)
                for first in range(0, channels, each)
            )
        finally:
            if not whole:
                for history in memory.histories:
                    history.forget()
        return whole

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

    def _run(self, noisy: Image, out: Image, memory: _Memory, number: int) -> bool:
        history = memory.histories[number] if memory.histories else None
        if memory.tiles is None:
            return self.engine.run(1, lambda _: noisy, lambda _, interpreter: interpreter.get(out), history)
        return memory.tiles.run(self.engine, noisy, out, history)

    def _memory(self, kind: _Kind, channels: int) -> _Memory:
        """The memory for frames of ``kind`` with ``channels``."""
        if not self._remembers and self._fits(kind):
            return _NONE
        memory = self._memories.get(kind)
        if memory is None:
            if len(self._memories) > 1:  # the frames' own size and half of it are kept
                self._memories = {}
            tiles = None if self._fits(kind) else self._cut(kind, self._advises and not kind[2])
            memory = self._memories[kind] = _Memory(tiles, [])
        needed = channels // self.model.channels if self._remembers else 0
        if len(memory.histories) != needed:
            size = kind[0], kind[1], self.model.channels
            grid = memory.tiles.grid if memory.tiles else None
            memory.histories = [History(size, grid) for _ in range(needed)]
        return memory

    def _fits(self, kind: _Kind) -> bool:
        """Whether the network sees a frame of this kind whole."""
        model = self.engine.model
        return kind[0] <= model.height and kind[1] <= model.width

    def _cut(self, kind: _Kind, advises: bool = False) -> Tiles:
        tiles = Tiles(grid_of(self.model, kind[0], kind[1], self._overlap), self.model.channels)
        if advises and (advice := _advice(self.model, tiles.grid)):
            log.info(advice)
        return tiles


_NONE = _Memory(None, [])


def _kind(size: tuple[int, int], half: bool = False) -> _Kind:
    """The kind of frames of ``size`` ``(height, width)``."""
    return ((size[0] + 1) // 2, (size[1] + 1) // 2, True) if half else (*size, False)


def _advice(model: ModelFile, grid: TileGrid) -> str | None:
    width, height = (-(-side // grid.stride) * grid.stride for side in (grid.width, grid.height))
    command = resize_command(model, width, height)
    return command and (
        f"{model.name} takes a frame of {grid.width}x{grid.height} in {len(grid)} tiles; "
        f"`{command}` makes a model that takes it at once, and faster"
    )
