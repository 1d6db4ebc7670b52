"""The synthetic camera: a generated scene, pictures or a video, with the noise of a named sensor."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.cameras.base import Camera
from edge.cameras.options import COUNT, RATE_OR_MAX, SIZE
from edge.run.frame import Frame
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.limits import MOST_SEED
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import GAINS, SENSORS, SensorCamera, sensor
from quietcam.sensor.scenes import generate_scene
from quietcam.terminal.key_values import Key, number_key, parse_key_values, path_key, whole_key

__all__ = ["SyntheticCamera", "SyntheticOptions"]

_BUDGET = 16 << 20  # bytes of rendered frames: 18 at 640x480, 2 at 1920x1080
_MOST_RENDERED = 64
_MOST_MEMORY = 256 << 20  # bytes of frames if `rendered` sets their number
_MOST_PIXELS = 16_000_000  # in a frame: the simulation of a sensor takes some 60 bytes for each
_PAN = 2  # pixels a frame
_PAINTED = (
    480  # most rows of a generated scene, and half of its columns; mirror images fill a larger frame, to start sooner
)


@dataclass(frozen=True)
class SyntheticOptions:
    """The options in ``synthetic:KEY=VALUE,…``.

    Attributes:
        size: ``(width, height)`` of generated scenes; clean frames of ``base`` keep their own.
        fps: the exact rate of a live camera; None: not live, each frame comes when it is asked for.
        sensor, gain: the sensor whose noise is simulated, as for :func:`quietcam.sensor.noise.sensor`.
        seed: seed of the scene and of the noise.
        frames: number of frames; None: endless.
        rendered: number of different frames that are drawn before the camera starts; None: as many as fit into 16 MiB.
            With fewer frames it starts sooner.
        base: clean pictures or a clean video instead of a generated scene.
    """

    size: tuple[int, int] = (640, 480)
    fps: float | None = 30.0
    sensor: str = "imx219"
    gain: float = 16.0
    seed: int = 0
    frames: int | None = None
    rendered: int | None = None
    base: Path | None = None

    @classmethod
    def parse(cls, text: str) -> SyntheticOptions:
        """Options from ``KEY=VALUE,KEY=VALUE``.

        Raises:
            UsageError: an unknown key, or a value that does not fit it.
        """
        example = "synthetic:size=640x480,fps=30,sensor=imx219,gain=16"
        return cls(**parse_key_values(text, _KEYS, "The synthetic camera", example))


class SyntheticCamera(Camera):
    """Noisy frames, rendered before the camera starts so that noise takes no time later, played forward and back.

    A generated scene is larger than the frame, which pans over it. Every rendered frame has different noise.

    Raises:
        UsageError: the sensor is unknown, the gain is out of its range, or ``base`` does not exist.
        DataError: (when opened) ``base`` cannot be read.
    """

    isp_denoise = False

    def __init__(
        self,
        options: SyntheticOptions,
        base: Camera | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__()
        width, height = options.size
        bytes_each = 3 * width * height
        if base is None and (width * height > _MOST_PIXELS or bytes_each * (options.rendered or 1) > _MOST_MEMORY):
            raise UsageError(
                f"The synthetic camera's frames have at most {_MOST_PIXELS // 10**6} million pixels, and those "
                f"that are rendered take {_MOST_MEMORY >> 20} MiB together. Received: size={width}x{height}, "
                f"rendered={options.rendered or 1}. Remedy: lower `size` or `rendered`."
            )
        self.options = options
        self._base = base
        if base is not None:
            self.skipped = base.skipped
        self._noise = sensor(options.sensor, options.gain)
        self._stopped = threading.Event()
        self._clock, self._sleep = clock, sleep or self._stopped.wait
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
        self._stopped.clear()  # unlike a device, it can be played again
        last = len(self._rendered) - 1
        there_and_back = [*range(last + 1), *range(last - 1, 0, -1)]
        start = self._clock()
        numbers = itertools.count() if self.total is None else range(self.total)
        for index, place in zip(numbers, itertools.cycle(there_and_back), strict=False):
            due = index / self._rate
            if self.live:
                due += start
                while (wait := due - self._clock()) > 0 and not self._stopped.is_set():
                    self._sleep(wait)
            if self._stopped.is_set():
                return
            yield Frame(self._rendered[place], due, index)

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._rendered = []

    def _clean(self) -> Iterator[Image]:
        if self._base is not None:
            with self._base as base:
                room = self.options.rendered or _MOST_RENDERED
                for frame in itertools.islice(base, room):
                    if self.options.rendered is None and frame.index >= _room(frame.image.nbytes):
                        return
                    yield frame.image
            return
        width, height = self.options.size
        count = self.options.rendered or _room(3 * width * height)
        across = width + _PAN * (count - 1)
        scene = generate_scene(min(height, _PAINTED), min(across, _PAINTED * 3 // 2), self.options.seed)
        missing = (0, height - scene.shape[0]), (0, across - scene.shape[1]), (0, 0)
        wide = np.pad(scene, missing, mode="symmetric")
        for index in range(count):
            yield np.ascontiguousarray(wide[:, _PAN * index : _PAN * index + width])


_FPS = 30.0  # nominal frames a second of a camera with fps=max


def _give_back() -> None:
    """Return the memory that rendering used to the system; glibc would keep several times the size of the frames."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _room(size: int) -> int:
    """How many frames of ``size`` bytes are rendered."""
    return max(2, min(_MOST_RENDERED, _BUDGET // size))


_KEYS = {
    "size": SIZE,
    "fps": RATE_OR_MAX,
    "sensor": Key(str, f"one of {', '.join(SENSORS)}"),
    "gain": number_key(*GAINS, f"a number from {GAINS[0]:g} to {GAINS[1]:g}"),
    "seed": whole_key(0, MOST_SEED, f"a whole number from 0 to {MOST_SEED}"),
    "frames": COUNT,
    "rendered": whole_key(1, _MOST_RENDERED, f"a whole number from 1 to {_MOST_RENDERED}"),
    "base": path_key("a folder of clean pictures or a clean video"),
}
