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
    """Nobody takes the frames of this sink any more: its reader left, or its window was closed."""


class Sink(ABC):
    """Takes frames from one thread. A context manager: at its end, or after Ctrl-C, it finishes and keeps what it took;
    after another error it throws away what is not finished.
    """

    name: str
    frames: int = 0
    """How many frames were taken."""
    observer: bool = False
    """It only observes: a frame that no other sink took counts as not taken."""
    busy: bool = False
    """A ``write`` hangs in the disk or the driver; the thread that called it will close the sink."""

    @abstractmethod
    def write(self, frame: Frame, denoised: Image) -> None:
        """Take one noisy frame and its denoised picture, uint8 ``(H, W, C)``. ``frame.treatment`` says what was done to
        it.

        Both are valid only during the call, because their memory is used again: a sink that keeps pixels copies them.

        Raises:
            StorageError: the disk is full, read-only or gone.
            DataError: the frame does not fit the frames before it.
            SinkEnded: nobody takes frames any more.
        """

    def wants(self, frame: Frame) -> bool:  # noqa: ARG002
        """Whether ``frame``, still noisy, will be kept as a picture, such as a snapshot or one every ten seconds. Such
        a frame is denoised fully even when the ladder takes work away. It is only asked then, in the network's thread,
        so it must be quick. A live view or a video returns False: it takes what the device can do.
        """
        return False

    def status(self, report: dict[str, Any]) -> None:  # noqa: B027  most sinks show no status
        """Take the report of the run, as ``Health.report`` gives it: about once a second, also while no frames come, in
        the thread that writes.
        """

    def report(self) -> dict[str, Any]:
        """Further counts for ``Health.report``. Any thread may call it, so it must be quick."""
        return {}

    def stop(self) -> None:  # noqa: B027  most sinks never wait
        """Make a ``write`` that waits for a reader end soon. Any thread may call it."""

    def check(self) -> None:  # noqa: B027  most replace nothing
        """Check once, before it is opened for the first time, that nothing is in the way.

        Raises:
            UsageError: something is.
        """

    def open(self) -> None:  # noqa: B027  not every sink has something to open
        """Open what is written to; called by ``with``."""

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
