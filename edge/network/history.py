"""History: what a video network remembers of the frames of one size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.network.interpreter import Interpreter
from quietcam.image import Image
from quietcam.tflite.quantization import int8_to_pixels
from quietcam.tiling import TileGrid

__all__ = ["History"]


class History:
    """What a video network remembers of the frames of one size; of a grayscale network, of one of their channels.

    It is one frame of pixels. Where frames go through in tiles, each tile reads its part of it, and writes the part
    that is nearer to its own middle than to that of any other tile. So it has no seams, and with a sufficient overlap
    it is that of the whole frame. The tiles of a frame write into a second memory, which takes the place of the first
    one after the last tile: a frame that fails leaves no mixture of two frames.

    A frame that fits into the network leaves its history in the interpreter that ran it, for the next frame. It is
    copied to memory of its own (``settle``) before that interpreter, or another one, runs for anything else.

    Args:
        size: ``(height, width, channels)`` of the frames, with the network's channels.
        grid: the tiles; None where a frame fits into the network.
    """

    def __init__(self, size: tuple[int, int, int], grid: TileGrid | None = None) -> None:
        self._size, self._grid = size, grid
        self._now: NDArray[Any] | None = None
        self._next: NDArray[Any] | None = None  # of tiles
        self._is_stored = False
        self._holder: Interpreter | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the next frame has no past."""
        return not self._is_stored and self._holder is None

    def forget(self) -> None:
        """Let the next frame have no past."""
        self._is_stored = False
        self._let_go()

    def put(self, interpreter: Interpreter, noisy: Image, index: int = 0) -> None:
        """Write part number ``index`` of a frame, and its past, into an interpreter that no other thread uses."""
        if self._holder is interpreter:
            interpreter.put_next(noisy)
        else:
            self.settle()
            interpreter.put(noisy, self.past(index))

    def past(self, index: int = 0) -> NDArray[Any] | None:
        """The past of part number ``index``, for ``Interpreter.put``: a view; None without one. ``settle`` before."""
        if not self._is_stored or self._now is None:
            return None
        return self._now if self._grid is None else self._grid.part(self._now, index)

    def keep(self, interpreter: Interpreter, index: int = 0) -> None:
        """Copy what an interpreter, which has just run part number ``index``, gave to remember."""
        if self._grid is None:
            self._store(interpreter)
            return
        self._now, self._next = self._memory(self._now, interpreter), self._memory(self._next, interpreter)
        rows, columns = self._grid.core(index)
        top, left = self._grid.origin(index)
        interpreter.remember(self._next[rows, columns], rows.start - top, columns.start - left)

    def leave(self, interpreter: Interpreter, index: int = 0) -> None:
        """The same, but a whole frame's stays where it is until that interpreter runs for something else."""
        if self._grid is not None:
            self.keep(interpreter, index)
            return
        self._is_stored, self._holder, interpreter.on_reuse = False, interpreter, self.settle

    def turn(self) -> None:
        """Note that all parts of a frame have been kept: they are the past of the next frame."""
        if self._grid is not None:
            self._now, self._next, self._is_stored = self._next, self._now, True

    def settle(self) -> None:
        """Copy it from the interpreter that holds it, if one does."""
        if self._holder is not None:
            self._store(self._holder)

    def picture(self, out: Image) -> None:
        """Write it into ``out``, uint8 of the frames' size. It must not be empty."""
        if self._holder is not None and self._holder.model.ends == "float32":
            self.settle()
        height, width, _ = self._size
        codes = self._now if self._holder is None else self._holder.remembered()
        assert codes is not None
        codes = codes[:height, :width]
        if codes.dtype == np.int8:
            int8_to_pixels(codes, out)
        else:
            np.copyto(out, codes)

    def _store(self, interpreter: Interpreter) -> None:
        self._now = self._memory(self._now, interpreter)
        interpreter.remember(self._now)
        self._is_stored = True
        self._let_go()

    def _let_go(self) -> None:
        if self._holder is not None:
            self._holder.on_reuse, self._holder = None, None

    def _memory(self, memory: NDArray[Any] | None, interpreter: Interpreter) -> NDArray[Any]:
        return np.empty(self._size, interpreter.stored_type) if memory is None else memory
