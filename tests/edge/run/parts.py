"""A camera, a network and sinks that tests of a run control."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edge.cameras.base import Camera
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.sinks.base import Sink
from quietcam.errors import StorageError
from quietcam.image import Image
from tests.edge.treating import Treats


class Numbers(Camera):
    """Frames whose pixel is their index. ``before`` is called before each."""

    name = "numbers"

    def __init__(self, count: int, live: bool = False, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self.live = live
        self.total = count
        self._before = before

    @property
    def size(self) -> tuple[int, int]:
        return 1, 1

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.total or 0):
            self._before(index)
            yield Frame(np.full((1, 1, 3), index, np.uint8), float(index), index)


class Endless(Numbers):
    """A live camera that waits a little between frames, until it is stopped; frames are given back."""

    def __init__(self, count: int = 10**9, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(count, live=True, before=before)
        self.out = 0
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.total or 0):
            self._before(index)
            if self._stopped.wait(0.002):
                return
            self.out += 1
            yield Frame(np.full((1, 1, 3), index % 250, np.uint8), time.monotonic(), index, release=self._back)

    def _back(self) -> None:
        self.out -= 1

    def stop(self) -> None:
        self._stopped.set()


class PlusOne(Treats):
    """A network that adds one. ``before`` is called with each pixel."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self._before = before

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        self._before(int(noisy[0, 0, 0]))
        return np.add(noisy, np.uint8(1), out=out)


class Collector(Sink):
    """Keeps (index, noisy, denoised)."""

    name = "collector"

    def __init__(self, fail_at: int | None = None) -> None:
        self.taken: list[tuple[int, int, int]] = []
        self._fail_at = fail_at

    def write(self, frame: Frame, denoised: Image) -> None:
        if frame.index == self._fail_at:
            raise StorageError("full")
        self.taken.append((frame.index, int(frame.image[0, 0, 0]), int(denoised[0, 0, 0])))
        self.frames += 1


class Told(Collector):
    """Keeps the reports of the run."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[dict[str, Any]] = []

    def status(self, report: dict[str, Any]) -> None:
        self.reports.append(report)


def in_background(pipeline: Pipeline) -> threading.Thread:
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    return thread
