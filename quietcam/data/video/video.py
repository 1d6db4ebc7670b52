"""Video: what every reader of videos offers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType

from quietcam.data.video.container import Container, look_at_container
from quietcam.errors import DataError
from quietcam.image import Image

__all__ = ["STALLED", "TRIES", "Times", "Video", "incomplete", "sensible"]

STALLED = 10.0
"""Seconds without a byte of a file that comes through a network."""

TRIES = 64
"""Successive failures that count as the end."""

_USUAL_RATE = 25.0
_JUMP = 1.0  # seconds: a time that goes back further belongs to a clock that began again


class Video(ABC):
    """A context manager that gives one frame after another.

    Attributes:
        name: its name in messages.
        size: ``(width, height)`` in pixels, upright.
        total: the most frames that it has, by its index; None where it has no index.
        container: what the sizes in the file tell.
        damaged: places that could not be decoded, up to the frame that was read last.
        shown_for: seconds for which the frame that was read last is shown, by the file; None where it does not tell.

    Raises:
        DataError: it cannot be read as a video, its frames are too large, or (when read) they cannot be shown.
        UsageError: its name cannot be given to the library that reads it.
        MissingExtraError: that library is not installed.
    """

    size: tuple[int, int]
    total: int | None
    shown_for: float | None = None

    def __init__(self, place: Path | str, name: str | None = None) -> None:
        self.place = place
        self.name = name or str(place)
        self.container = look_at_container(place) if isinstance(place, Path) else Container()
        self.damaged = 0

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    @abstractmethod
    def fps(self) -> float | None:
        """Frames per second: the most common rate where it varies; None where it is unknown."""

    @abstractmethod
    def read(self) -> tuple[Image, float] | None:
        """The next frame, uint8 ``(H, W, 3)`` RGB, and its time in seconds from the start; None at the end.

        Times increase from frame to frame. Where the container has none, they come from the frame rate.
        """

    @abstractmethod
    def seek(self, frame: int) -> None:
        """Let ``read`` continue at this frame. Without an index (a raw stream, a recording of a browser), all frames
        before it are read.
        """

    @abstractmethod
    def count(self) -> int:
        """How many frames follow, by decoding all of them."""

    @abstractmethod
    def close(self) -> None:
        """Close the video. May be called twice."""


class Times:
    """Times that increase from frame to frame, of those that a container has.

    >>> times = Times()
    >>> [times.after(seconds, 0.5) for seconds in (0.0, 0.4, None, 0.6, 7.0)]
    [0.0, 0.4, 0.9, 1.4, 7.0]
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._shift = 0.0

    def after(self, seconds: float | None, step: float | None) -> float:
        """The time of the next frame.

        Args:
            seconds: by the container; None where it has none.
            step: to take instead, after the frame before. Defaults to that of 25 frames a second.
        """
        step = step or 1 / _USUAL_RATE
        if self._last is None:
            self._last = seconds or 0.0
            return self._last
        if seconds is None:
            self._last += step
            return self._last
        if seconds + self._shift < self._last - _JUMP:  # several recordings in one file
            self._shift = self._last + step - seconds
        now = seconds + self._shift
        self._last = now if now > self._last else self._last + step
        return self._last


def sensible(value: float, least: float, most: float) -> float | None:
    """A number of a container, or None where it cannot be true."""
    return value if math.isfinite(value) and least <= value <= most else None


def incomplete(name: str, why: str = "") -> DataError:
    """The error of a file whose server does not send all of it.

    Args:
        why: the line broke for this reason. Defaults to silence.
    """
    what = f"broke off ({why})" if why else f"has sent nothing for {STALLED:g} s"
    return DataError(
        f"A video must arrive completely. Received: {name}, whose server {what}. "
        "Remedy: download the file first, then denoise it"
    )
