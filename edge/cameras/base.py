"""Camera: what every source of frames offers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal

from edge.run.frame import Frame
from quietcam.errors import DataError

__all__ = ["Camera", "CameraState", "NotReadyError"]


class NotReadyError(DataError):
    """A device that has just appeared and may not be opened yet: the system is about to hand it over."""


@dataclass(frozen=True, slots=True)
class CameraState:
    """Whether a camera delivers, for people.

    Attributes:
        state: ``lost`` while a camera that is watched is gone or frozen.
        since: seconds since 1970: of ``live``, since when; of ``lost``, when the last fresh frame came.
        reopened: how often it had to be opened anew, with success.
        reason: why it is lost, or was lost last; None where it never was.
        waiting: it was never there since the start, and is waited for.
    """

    state: Literal["live", "lost"] = "live"
    since: float = 0.0
    reopened: int = 0
    reason: str | None = None
    waiting: bool = False

    def report(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Camera(ABC):
    """A source of frames: a context manager to iterate over once.

    Attributes:
        name: for people and reports.
        live: frames come whether or not somebody takes them, so the newest counts; otherwise each does.
        still: the frames are pictures that have nothing to do with each other.
        fps: frames a second, nominal; None where the source has no rate.
        total: how many frames there will be at most; None where nobody knows.
        skipped: what could not be read, each with its reason.
        dropped: frames that were given up for newer ones before anybody saw them.
        state: whether it delivers; replaced as a whole, so any thread may read it.
        frozen_after: seconds after which byte-identical pictures mean that it is frozen; None where they do not.
        silence: seconds without a frame after which it counts as lost, never less than for every camera; may change
            from frame to frame.
        busy: an iteration hangs in the disk, and its thread will close the camera: nobody else may while it reads.
        isp_denoise: whether it denoises its pictures itself; None where it does not tell.
    """

    name: str
    live: bool = False
    still: bool = False
    fps: float | None = None
    total: int | None = None
    dropped: int = 0
    frozen_after: float | None = None
    silence: float | None = None
    busy: bool = False
    isp_denoise: bool | None = None

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.state = CameraState(since=time.time())

    @property
    @abstractmethod
    def size(self) -> tuple[int, int] | None:
        """``(width, height)`` in pixels; None where it is not known beforehand or changes."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames, in order."""

    def open(self) -> None:  # noqa: B027  a folder has nothing to open
        """Take hold of the device or the file; called by ``with``."""

    def plug(self) -> object:
        """What changes when the device is plugged in or handed over anew; None where nothing tells."""
        return None

    def stop(self) -> None:  # noqa: B027  a file does not let anybody wait
        """Let an iteration that waits for a frame end soon. Any thread may call it."""

    def close(self) -> None:  # noqa: B027  nor to close
        """Let go of it. May be called twice."""

    def __enter__(self) -> Camera:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.busy:
            self.close()
