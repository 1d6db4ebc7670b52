"""Sink: where denoised frames go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

import numpy as np

from edge.frame import Frame
from quietcam.image import Image, to_rgb

__all__ = ["Sink", "side_by_side"]


class Sink(ABC):
    """Takes frames from one thread. A context manager: left well or by Ctrl-C, what was taken is finished and
    kept; left by another error, what is not finished is thrown away.
    """

    name: str
    frames: int = 0
    """How many frames were taken."""

    @abstractmethod
    def write(self, frame: Frame, denoised: Image) -> None:
        """Take one frame: what the camera gave, and uint8 ``(H, W, C)``.

        Raises:
            StorageError: the disk is full, read-only or gone.
            DataError: the frame does not fit to those before it.
        """

    def open(self) -> None:  # noqa: B027  not every sink has something to open
        """Take hold of what is written to; called by ``with``."""

    def close(self) -> None:  # noqa: B027  nor to finish
        """Finish what was taken. May be called twice.

        Raises:
            StorageError: it could not be finished, and is not there.
        """

    def discard(self) -> None:  # noqa: B027  nor to throw away
        """Throw away what is not finished. May be called twice, and after ``close``."""

    def __enter__(self) -> Sink:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        else:
            self.discard()


def side_by_side(noisy: Image, denoised: Image) -> Image:
    """Before and after as one picture ``(H, 2 W, 3)``."""
    return np.concatenate([to_rgb(noisy), to_rgb(denoised)], axis=1)
