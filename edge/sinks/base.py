"""Sink: the base class of everything that takes denoised frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any

import numpy as np

from edge.events.event import Event
from edge.run.frame import Frame
from edge.sinks.spool.shelf import Shelf
from quietcam.image import Image, to_rgb

__all__ = ["Sink", "SinkEnded", "side_by_side"]


class SinkEnded(Exception):  # noqa: N818  it is not an error
    """Nobody takes frames from this sink any more: its reader left, or its window was closed."""


class Sink(ABC):
    """Takes frames from one thread. As a context manager it finishes and keeps its output at the end or after Ctrl-C;
    after any other error it deletes unfinished output.

    Example:
        >>> import quietcam
        >>> class Brightness(quietcam.Sink):
        ...     name = "brightness"
        ...     means: list[float] = []
        ...
        ...     def write(self, frame, denoised):
        ...         self.means.append(float(denoised.mean()))
        ...         self.frames += 1
        >>> sink = Brightness()
        >>> options = quietcam.RunOptions(source="synthetic", frames=4)
        >>> with quietcam.open_session(options, sink) as session:
        ...     report = session.run()
        >>> len(sink.means) == sink.frames > 0
        True
    """

    name: str
    frames: int = 0
    """How many frames were taken."""
    observer: bool = False
    """True if the sink only observes: a frame that no other sink took then counts as not taken."""
    gives_way: bool = False
    """True if the sink computes much: of a live camera its thread gets processor time after the network's, so it loses
    frames before it slows the network.
    """
    busy: bool = False
    """True while a ``write`` hangs in the disk or the driver; the thread that called it will close the sink."""
    shelf: Shelf | None = None
    """Lists and reads what the sink has stored, for the page; None if it stores nothing that is listed."""

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
        a frame is denoised fully even if the ladder has reduced the work. This is called only while the ladder does so,
        in the network's thread, so it must be quick. A live view or a video returns False: it shows every frame with
        the treatment that the device has time for.
        """
        return False

    def status(self, report: dict[str, Any]) -> None:  # noqa: B027  most sinks show no status
        """Take the report of the run, as ``Health.report`` gives it: about once a second, also while no frames come, in
        the thread that writes.
        """

    def event(self, event: Event) -> None:  # noqa: B027  most sinks tell nobody
        """Take an event of a live run, such as a camera that was lost. Called in a thread of its own, so it must be
        quick; also before the sink is open and after it is closed.
        """

    def report(self) -> dict[str, Any]:
        """Further counts for ``Health.report``. Any thread may call it, so it must be quick."""
        return {}

    def stop(self) -> None:  # noqa: B027  most sinks never wait
        """End a ``write`` that waits for a reader. Any thread may call it."""

    def check(self) -> None:  # noqa: B027  most replace nothing
        """Check once, before the first ``open``, that the sink would not replace anything.

        Raises:
            UsageError: it would, or its path is of the wrong kind.
        """

    def open(self) -> None:  # noqa: B027  not every sink needs opening
        """Open the file, the folder or the device; called by ``with``."""

    def close(self) -> None:  # noqa: B027  nor finishing
        """Finish the output. May be called twice.

        Raises:
            StorageError: the output could not be finished, and does not exist.
        """

    def discard(self) -> None:  # noqa: B027  nor deleting
        """Delete unfinished output. May be called twice, and after ``close``."""

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
    """The noisy and the denoised picture as one, ``(H, 2 W, 3)``."""
    return np.concatenate([to_rgb(noisy), to_rgb(denoised)], axis=1)
