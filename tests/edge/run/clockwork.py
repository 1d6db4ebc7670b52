"""A camera whose clock the run follows, and further fakes that control time and temperature."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np

from edge.cameras.base import Camera
from edge.network.frame_denoiser import FrameDenoiser
from edge.network.treatment import Treatment
from edge.run.degrade.temperature import Thermometer
from edge.run.frame import Frame
from edge.run.health import Health
from edge.run.pipeline import Pipeline
from edge.sinks.base import Sink
from quietcam.image import Image
from tests.edge.treating import Treats
from tests.small_models import picture
from tests.waiting import WAIT

__all__ = ["Clockwork", "Inverts", "Viewer", "Warm", "ran"]


class Clockwork(Camera):
    """Noisy frames of a camera whose clock the run follows: each comes once the one before is finished."""

    name = "clockwork"
    live = True

    def __init__(self, count: int, step: float) -> None:
        super().__init__()
        self.now = 0.0
        self._count, self._step = count, step
        self._done = threading.Semaphore(1)

    @property
    def size(self) -> tuple[int, int]:
        return 32, 32

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            assert self._done.acquire(timeout=WAIT)
            self.now = index * self._step
            yield Frame(picture(32, 32, seed=index), self.now, index, release=self._done.release)


class Warm(Thermometer):
    """A processor's temperature that a test sets."""

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self.degrees = degrees

    def start(self) -> None:
        """It measures nothing."""

    def celsius(self) -> float | None:
        return self.degrees

    def throttled(self) -> str | None:
        return None


class Viewer(Sink):
    """A live view that keeps its pictures and their treatments."""

    name = "viewer"

    def __init__(self) -> None:
        self.taken: list[tuple[Image, Image, Treatment | None]] = []

    def write(self, frame: Frame, denoised: Image) -> None:
        self.taken.append((frame.image.copy(), denoised.copy(), frame.treatment))
        self.frames += 1


def ran(camera: Clockwork, denoiser: FrameDenoiser, sinks: Sequence[Sink]) -> Health:
    return Pipeline(camera, denoiser, sinks, clock=lambda: camera.now).run()


class Inverts(Treats):
    """A network."""

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        return np.subtract(np.uint8(255), noisy, out=out)
