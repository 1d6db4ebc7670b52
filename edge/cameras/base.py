"""Camera: what every source of frames offers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal

from edge.cameras.orientation import UPRIGHT, Orientation
from edge.run.frame import Frame
from quietcam.errors import DataError

__all__ = ["Camera", "CameraState", "NotReadyError"]


class NotReadyError(DataError):
    """A device that has just appeared: the system does not let users open it yet."""


@dataclass(frozen=True, slots=True)
class CameraState:
    """Whether a camera delivers frames.

    Attributes:
        state: ``lost`` while a watched camera is missing or frozen.
        since: seconds since 1970: when it became ``live``, or when the last fresh frame came before it was ``lost``.
        reopened: how often it was lost and opened again.
        reason: why it is lost, or why it was lost the last time; None if it was never lost.
        waiting: the camera has been missing since the start of the run, which waits for it.
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
    """A source of frames: open it with ``with``, and iterate over it once.

    Attributes:
        name: the name that messages and reports show.
        live: frames arrive whether or not they are taken, so only the newest counts; False: every frame counts.
        still: the frames are independent pictures.
        fps: nominal frames a second; None if the source has no rate.
        total: the most frames there will be; None if that is unknown.
        skipped: pictures and parts that could not be read, each with the reason.
        dropped: frames that newer ones replaced before they were taken.
        state: whether it delivers; replaced as a whole, so any thread may read it.
        frozen_after: seconds of byte-identical pictures after which it counts as frozen; None: never.
        silence: seconds without a frame after which it counts as lost, if this camera needs longer than others do;
            may change from frame to frame.
        busy: the thread that iterates waits for the disk. Only that thread may close the camera.
        isp_denoise: whether the camera denoises its pictures itself; None if it does not say.
        turned: how the camera turns its pictures itself; known when it is open.
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
    turned: Orientation = UPRIGHT

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.state = CameraState(since=time.time())

    @property
    @abstractmethod
    def size(self) -> tuple[int, int] | None:
        """``(width, height)`` in pixels; None if it is unknown or changes."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames, in order."""

    def count(self) -> int | None:
        """The number of frames, even if that takes reading all of them; None if it cannot be known."""
        return self.total

    def open(self) -> None:  # noqa: B027  a folder needs no opening
        """Open the device or the file; called by ``with``."""

    def plug(self) -> object:
        """A value that changes when the device is plugged in or becomes accessible; None if that cannot be seen."""
        return None

    def stop(self) -> None:  # noqa: B027  a file never waits
        """End an iteration that waits for a frame. Any thread may call it."""

    def close(self) -> None:  # noqa: B027  nor closing
        """Close the device or the file. May be called twice."""

    def __enter__(self) -> Camera:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.busy:
            self.close()
