"""The synthetic camera: a generated scene, pictures or a video behind a named sensor's noise."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.cameras.base import Camera
from edge.frame import Frame
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.isp import Isp
from quietcam.noise import SENSORS, SensorCamera, sensor
from quietcam.scenes import generate_scene

__all__ = ["SIZE_MEANS", "SyntheticCamera", "SyntheticOptions", "read_size"]

_BUDGET = 16 << 20  # bytes of rendered frames: 18 at 640x480, 2 at 1920x1080
_MOST_RENDERED = 64
_PAN = 2  # pixels a frame
_LARGEST_SIDE = 8192

SIZE_MEANS = f"WIDTHxHEIGHT, each 16 to {_LARGEST_SIDE}"


@dataclass(frozen=True)
class SyntheticOptions:
    """What ``synthetic:KEY=VALUE,…`` says.

    Attributes:
        size: ``(width, height)`` of generated scenes; clean frames of ``base`` keep their own.
        fps: the exact rate of a live camera; None: not live, a frame whenever one is asked for.
        sensor, gain: whose noise, as for :func:`quietcam.noise.sensor`.
        seed: of the scene and of the noise.
        frames: how many; None: endless.
        base: clean pictures or a clean video instead of a generated scene.
    """

    size: tuple[int, int] = (640, 480)
    fps: float | None = 30.0
    sensor: str = "imx219"
    gain: float = 16.0
    seed: int = 0
    frames: int | None = None
    base: Path | None = None

    @classmethod
    def parse(cls, text: str) -> SyntheticOptions:
        """Options from ``KEY=VALUE,KEY=VALUE``.

        Raises:
            UsageError: an unknown key, or a value that does not fit it.
        """
        options = cls()
        for part in filter(None, text.split(",")):
            key, _, value = part.partition("=")
            if key not in _READERS:
                raise UsageError(
                    f"The synthetic camera has the options {', '.join(_READERS)}. Received: {part}. "
                    f"Remedy: for example synthetic:size=640x480,fps=30,sensor=imx219,gain=16"
                )
            try:
                options = replace(options, **{key: _READERS[key](value)})
            except ValueError:
                raise UsageError(f"The synthetic camera's {key} is {_MEANINGS[key]}. Received: {part}.") from None
        return options


class SyntheticCamera(Camera):
    """Noisy frames, rendered beforehand so that noise costs no camera time, and replayed there and back.

    A generated scene is larger than the frame, which pans over it. Every rendered frame has noise of its own.

    Raises:
        UsageError: an unknown sensor or a gain out of its range; no such ``base``.
        DataError: (when opened) ``base`` cannot be read.
    """

    def __init__(
        self,
        options: SyntheticOptions,
        base: Camera | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.options = options
        self._base = base
        if base is not None:
            self.skipped = base.skipped
        self._noise = sensor(options.sensor, options.gain)
        self._clock, self._sleep = clock, sleep
        self._rendered: list[Image] = []
        self.name = f"synthetic ({options.sensor} at gain {options.gain:g})"
        self.live = options.fps is not None
        self.fps = self._rate = options.fps or _FPS
        self.total = options.frames

    @property
    def size(self) -> tuple[int, int] | None:
        if self._rendered:
            height, width = self._rendered[0].shape[:2]
            return width, height
        return None if self._base else self.options.size

    def open(self) -> None:
        """Render the frames."""
        if self._rendered:
            return
        rng = np.random.default_rng(self.options.seed)
        for clean in self._clean():
            noisy = SensorCamera(self._noise, Isp()).expose(clean, rng)
            noisy.flags.writeable = False
            self._rendered.append(noisy)
        _give_back()

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        last = len(self._rendered) - 1
        there_and_back = [*range(last + 1), *range(last - 1, 0, -1)]
        start = self._clock()
        numbers = itertools.count() if self.total is None else range(self.total)
        for index, place in zip(numbers, itertools.cycle(there_and_back), strict=False):
            due = index / self._rate
            if self.live:
                due += start
                while (wait := due - self._clock()) > 0:
                    self._sleep(wait)
            yield Frame(self._rendered[place], due, index)

    def close(self) -> None:
        self._rendered = []

    def _clean(self) -> Iterator[Image]:
        if self._base is not None:
            with self._base as base:
                room = _MOST_RENDERED
                for frame in itertools.islice(base, _MOST_RENDERED):
                    room = min(room, _room(frame.image.nbytes))
                    if frame.index >= room:
                        return
                    yield frame.image
            return
        width, height = self.options.size
        count = _room(3 * width * height)
        wide = generate_scene(height, width + _PAN * (count - 1), self.options.seed)
        for index in range(count):
            yield np.ascontiguousarray(wide[:, _PAN * index : _PAN * index + width])


_FPS = 30.0  # nominal, of a camera that is as fast as it is asked


def _give_back() -> None:
    """Have glibc return what rendering left on its heap: several times the frames, for as long as the process lives."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _room(size: int) -> int:
    """How many frames of this many bytes are rendered."""
    return max(2, min(_MOST_RENDERED, _BUDGET // size))


def read_size(text: str) -> tuple[int, int]:
    """``640x480`` as ``(width, height)`` in pixels.

    Raises:
        ValueError: it is not what ``SIZE_MEANS`` says.
    """
    width, height = (int(part) for part in text.lower().split("x"))
    if not 16 <= min(width, height) <= max(width, height) <= _LARGEST_SIDE:
        raise ValueError
    return width, height


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    rate = float(text)
    if not 0 < rate <= 1000:
        raise ValueError
    return rate


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


_READERS: dict[str, Callable[[str], Any]] = {
    "size": read_size,
    "fps": _rate,
    "sensor": str,
    "gain": float,
    "seed": int,
    "frames": _count,
    "base": Path,
}
_MEANINGS = {
    "size": SIZE_MEANS,
    "fps": "frames a second up to 1000, or max",
    "sensor": f"one of {', '.join(SENSORS)}",
    "gain": "a number",
    "seed": "a whole number",
    "frames": "a whole number of at least 1",
    "base": "a folder of clean pictures or a clean video",
}
