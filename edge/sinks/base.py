"""Sink: where denoised frames go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any

import numpy as np

from edge.run.frame import Frame
from quietcam.image import Image, to_rgb

__all__ = ["Sink", "SinkEnded", "side_by_side"]


class SinkEnded(Exception):  # noqa: N818  it is no error
    """Nobody takes what this sink gives any more: its reader left, its window was closed. It is written no more."""


class Sink(ABC):
    """Takes frames from one thread. A context manager: left well or by Ctrl-C, what was taken is finished and
    kept; left by another error, what is not finished is thrown away.
    """

    name: str
    frames: int = 0
    """How many frames were taken."""
    observer: bool = False
    """It only looks on: a frame that no other sink took went nowhere."""
    busy: bool = False
    """A ``write`` hangs in the disk or the driver, and whoever called it will finish the sink."""

    @abstractmethod
    def write(self, frame: Frame, denoised: Image) -> None:
        """Take one frame: what the camera gave, and uint8 ``(H, W, C)``. ``frame.treatment`` says what was done to it.

        Both are valid during the call only, since their memory is used again: who keeps pixels copies them.

        Raises:
            StorageError: the disk is full, read-only or gone.
            DataError: the frame does not fit to those before it.
            SinkEnded: nobody takes frames any more.
        """

    def wants(self, frame: Frame) -> bool:  # noqa: ARG002
        """Whether ``frame``, noisy still, will be kept as a picture of its own, as one of every ten seconds or a
        snapshot. It then gets all of the network, even where the ladder takes work away; asked only then, in the thread
        of the network, so it must be quick. A live view or a video takes what the device can do: False.
        """
        return False

    def status(self, report: dict[str, Any]) -> None:  # noqa: B027  most sinks have nobody to tell
        """How the run is, as ``Health.report`` says it: about once a second, also while no frames come, in the
        thread that writes.
        """

    def report(self) -> dict[str, Any]:
        """What else it counts, for ``Health.report``. Any thread may call it, so it must be quick."""
        return {}

    def stop(self) -> None:  # noqa: B027  most sinks never wait for anybody
        """Let a ``write`` that waits for a reader end soon. Any thread may call it."""

    def check(self) -> None:  # noqa: B027  most replace nothing
        """Look whether something is in the way, once, before it is opened for the first time.

        Raises:
            UsageError: it is.
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
        if self.busy:
            return
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        else:
            self.discard()


def side_by_side(noisy: Image, denoised: Image) -> Image:
    """Before and after as one picture ``(H, 2 W, 3)``."""
    return np.concatenate([to_rgb(noisy), to_rgb(denoised)], axis=1)
