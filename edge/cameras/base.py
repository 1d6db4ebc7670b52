"""Camera: what every source of frames offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType

from edge.frame import Frame

__all__ = ["Camera"]


class Camera(ABC):
    """A source of frames: a context manager to iterate over once.

    Attributes:
        name: for people and reports.
        live: frames come whether or not somebody takes them, so the newest counts; otherwise each does.
        still: the frames are pictures that have nothing to do with each other.
        fps: frames a second, nominal; None where the source has no rate.
        total: how many frames there will be at most; None where nobody knows.
        skipped: what could not be read, each with its reason.
    """

    name: str
    live: bool = False
    still: bool = False
    fps: float | None = None
    total: int | None = None

    def __init__(self) -> None:
        self.skipped: list[str] = []

    @property
    @abstractmethod
    def size(self) -> tuple[int, int] | None:
        """``(width, height)`` in pixels; None where it is not known beforehand or changes."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames, in order."""

    def open(self) -> None:  # noqa: B027  a folder has nothing to open
        """Take hold of the device or the file; called by ``with``."""

    def close(self) -> None:  # noqa: B027  nor to close
        """Let go of it. May be called twice."""

    def __enter__(self) -> Camera:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
