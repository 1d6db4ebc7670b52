"""The Raspberry Pi's ribbon-cable cameras, through the OS's picamera2.

Written against picamera2's documented interface and tested with a stand-in for it; not yet run on hardware.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from edge.cameras.base import Camera
from edge.cameras.options import RATE, SIZE
from edge.cameras.orientation import UPRIGHT, Orientation
from edge.cameras.picamera.library import flips, list_picameras, picamera2
from edge.cameras.picamera.swapped import Channels, check_channels
from edge.cameras.picamera.tuning import read_tuning, temporal_only
from edge.run.buffers import BufferPool
from edge.run.frame import Frame
from quietcam.errors import DataError, QuietcamError, UsageError
from quietcam.image import Image
from quietcam.terminal.key_values import Key, choice_key, number_key, parse_key_values, whole_key
from quietcam.terminal.log import log

__all__ = ["PicameraCamera", "PicameraOptions"]

# libcamera names formats as a little-endian word: its "BGR888" is R, G, B in memory.
_RGB_IN_MEMORY, _YUV = "BGR888", "YUV420"
_BUFFERS = 6
_LENT = 3  # most buffers that the pipeline holds; the others keep the sensor running
_FROZEN = 4.0  # seconds: a sensor's noise changes every frame
_FRAME_WITHIN = 2.5  # seconds
_MOST_AGE = 5.0  # seconds: an older time stamp must come from another clock
_TEMPORAL = "temporal"
# libcamera's draft NoiseReductionModeEnum; any mode but off switches on what the tuning file names
_DENOISE = {"off": 0, "fast": 1, "hq": 2, "minimal": 3, _TEMPORAL: 1}


@dataclass(frozen=True)
class PicameraOptions:
    """The options in ``picamera2:KEY=VALUE,…``.

    Attributes:
        camera: the number of the camera, 0 to 63.
        size: ``(width, height)``.
        fps: frames a second.
        stream: ``main`` needs no copy; ``lores`` is scaled by the ISP and converted from YUV to RGB.
        denoise: the ISP's denoiser: off, fast, hq, minimal, or temporal. Off by default: the network was trained on
            noisy frames. ``temporal`` asks for the temporal stage of a Raspberry Pi 5 alone (not yet run on hardware).
            That stage and a video network both average frames; nobody has measured which of them gives more.
        sharpness: of the ISP, 0 to 16. 0 by default: sharpening makes noise coarser.
        selftest: test at the start whether red and blue are swapped.
    """

    camera: int = 0
    size: tuple[int, int] = (640, 480)
    fps: float = 30.0
    stream: str = "main"
    denoise: str = "off"
    sharpness: float = 0.0
    selftest: bool = True

    @classmethod
    def parse(cls, text: str, options: PicameraOptions | None = None) -> PicameraOptions:
        """Options from ``KEY=VALUE,KEY=VALUE``.

        Raises:
            UsageError: an unknown key, or a value that does not fit it.
        """
        given = parse_key_values(text, _KEYS, "picamera2", "picamera2:size=1280x720,fps=30")
        return replace(options or cls(), **given)


class PicameraCamera(Camera):
    """A ribbon-cable camera in RGB, with the sensor's time stamps.

    A frame of the ``main`` stream is the camera's own memory until ``Frame.done`` gives it back. While three frames are
    in use, the next one is a copy, so that the sensor never waits.

    Args:
        options: what the camera is asked for.
        orientation: how the frames are to come out. The ISP exchanges left and right, and top and bottom, at no cost;
            it cannot transpose. ``turned`` says what it did (not yet run on hardware).

    Raises:
        MissingExtraError: (when opened) picamera2 is not installed.
        UsageError: (when opened) there is no camera of this number, or it has no temporal stage to ask for.
        DataError: (when opened) the camera is busy or broken.
    """

    live = True
    frozen_after = _FROZEN

    def __init__(self, options: PicameraOptions | None = None, orientation: Orientation = UPRIGHT) -> None:
        super().__init__()
        self.options = options or PicameraOptions()
        self._orientation = orientation
        self.name = f"picamera2 {self.options.camera}"
        self.fps = self.options.fps
        self.channels = Channels.UNKNOWN
        self._size = self.options.size
        self._native: Any = None
        self._mapped: Any = None
        self._stopped = threading.Event()
        self._pool = BufferPool()
        self._returned = threading.Condition()
        self._lent = 0

    @property
    def size(self) -> tuple[int, int] | None:
        return self._size

    def open(self) -> None:
        if self._native is not None:
            return
        module = picamera2()
        self._mapped = module.MappedArray
        there = list_picameras()
        if self.options.camera >= len(there):
            raise UsageError(
                f"There is no such camera. Received: number {self.options.camera}; libcamera sees {len(there)}. "
                "Remedy: check the ribbon cable with the power off; rpicam-hello --list-cameras lists them."
            )
        tuned = {}
        if self.options.denoise == _TEMPORAL:
            name, tuning = read_tuning(module, str(there[self.options.camera].get("Model")))
            tuned["tuning"] = temporal_only(tuning, name)
        try:
            native = module.Picamera2(self.options.camera, **tuned)
        except (RuntimeError, IndexError, OSError) as error:
            raise self._why_not(error) from error
        try:
            self._start(native)
        except QuietcamError:
            native.close()
            raise
        except (RuntimeError, OSError, ValueError) as error:
            native.close()
            raise self._why_not(error) from error
        self._native = native
        options = self.options
        denoiser = "unknown" if self.isp_denoise is None else options.denoise
        log.info(
            f"{self.name}: {self._size[0]}x{self._size[1]}, the ISP's denoiser {denoiser}, "
            f"its sharpness {options.sharpness:g}"
        )
        if options.selftest:
            try:
                self._test()
            except BaseException:
                self.close()
                raise

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        index = 0
        while not self._stopped.is_set() and self._native is not None:
            request = self._request()
            taken = _taken(request.get_metadata(), time.monotonic())
            yield self._frame(request, taken, index)
            index += 1

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        native, self._native = self._native, None
        if native is None:
            return
        native.stop()
        with self._returned:  # closing frees the memory of all frames that are still in use
            self._returned.wait_for(lambda: not self._lent, _FRAME_WITHIN)
        native.close()

    def _start(self, native: Any) -> None:
        options = self.options
        controls: dict[str, Any] = {"Sharpness": options.sharpness, "FrameRate": options.fps}
        if "NoiseReductionMode" in native.camera_controls:
            controls["NoiseReductionMode"] = _DENOISE[options.denoise]
            self.isp_denoise = options.denoise != "off"
        elif options.denoise in ("off", _TEMPORAL):
            log.warning(f"{self.name} has no switch for the ISP's denoiser")
        stream: dict[str, Any] = {"size": options.size, "format": _RGB_IN_MEMORY}
        streams: dict[str, Any] = {"main": stream}
        if options.stream == "lores":
            streams = {"main": {"format": _RGB_IN_MEMORY}, "lores": {"size": options.size, "format": _YUV}}
        config = native.create_video_configuration(buffer_count=_BUFFERS, queue=False, controls=controls, **streams)
        self._configure(native, config)
        given = native.camera_configuration()[options.stream]
        wanted = _YUV if options.stream == "lores" else _RGB_IN_MEMORY
        if given["format"] != wanted:
            raise DataError(
                f"The {options.stream} stream must have the format {wanted}. Received: {given['format']}. "
                "Remedy: update picamera2, or choose another stream."
            )
        self._size = given["size"][0], given["size"][1]
        native.start()

    def _configure(self, native: Any, config: dict[str, Any]) -> None:
        """Configure the camera, if possible so that the ISP turns the pictures."""
        wanted, self.turned = self._orientation, UPRIGHT
        if wanted == UPRIGHT or wanted.transposed:
            native.configure(config)
            return
        native.configure({**config, "transform": flips(wanted.mirrored, wanted.upended)})
        given = native.camera_configuration()["transform"]  # libcamera may have changed it
        if (bool(given.hflip), bool(given.vflip)) == (wanted.mirrored, wanted.upended):
            self.turned = wanted
            return
        log.warning(f"{self.name}: the ISP does not flip as it was asked to, so each frame is turned on the CPU")
        native.configure({**config, "transform": flips(False, False)})

    def _request(self) -> Any:
        # Wait for the job rather than in the call: in older versions the call has no time limit.
        job = self._native.capture_request(wait=False)
        end = time.monotonic() + _FRAME_WITHIN
        while True:
            try:
                return job.get_result(timeout=0.25)
            except TimeoutError:
                if self._stopped.is_set():
                    raise DataError("it was stopped") from None
                if time.monotonic() > end:
                    raise DataError(
                        f"{self.name} sent no frame within {_FRAME_WITHIN:g} s and no error. "
                        "Remedy: check the ribbon cable with the power off."
                    ) from None

    def _frame(self, request: Any, taken: float, index: int) -> Frame:
        mapped = self._map(request)
        array = mapped.__enter__().array
        with self._returned:
            own = self.options.stream == "main" and self.channels is not Channels.SWAPPED and self._lent < _LENT
            self._lent += own
        if own:
            return Frame(array, taken, index, release=_Once(partial(self._give_back, mapped, request)))
        try:
            image = self._copy(array)
        finally:
            mapped.__exit__(None, None, None)
            request.release()
        return Frame(image, taken, index, release=partial(self._pool.give, image))

    def _map(self, request: Any) -> Any:
        try:
            return self._mapped(request, self.options.stream, write=False)
        except TypeError:  # the picamera2 of early Bookworm has no such parameter and always maps for writing
            return self._mapped(request, self.options.stream)

    def _copy(self, array: Image) -> Image:
        import cv2

        width, height = self._size
        image = self._pool.take((height, width, 3))
        if self.options.stream == "lores":
            # Each row may be longer than the picture; the rows of the chroma planes are half as long.
            array = np.asarray(cv2.cvtColor(array, cv2.COLOR_YUV2RGB_I420), np.uint8)[:, :width]
        np.copyto(image, array[..., ::-1] if self.channels is Channels.SWAPPED else array)
        return image

    def _give_back(self, mapped: Any, request: Any) -> None:
        try:
            mapped.__exit__(None, None, None)
            request.release()
        finally:
            with self._returned:
                self._lent -= 1
                self._returned.notify_all()

    def _test(self) -> None:
        """Raise the sensor's gain of red, to test whether red and blue are swapped."""
        if "ColourGains" not in self._native.camera_controls:
            return

        def look() -> tuple[dict[str, Any], tuple[float, float]]:
            request = self._request()
            metadata = request.get_metadata()
            frame = self._frame(request, 0.0, 0)
            means = frame.image[::4, ::4].reshape(-1, 3).mean(axis=0)
            frame.done()
            return metadata, (float(means[0]), float(means[2]))

        self.channels = check_channels(self._native.set_controls, look)
        if self.channels is Channels.SWAPPED:
            log.warning(f"{self.name} delivers blue where red should be; they are swapped back")
        elif self.channels is Channels.UNKNOWN:
            log.warning(f"{self.name}: too dark to test whether red and blue are swapped")

    def _why_not(self, error: Exception) -> DataError:
        chain: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            chain.append(str(cause))
            cause = cause.__cause__ or cause.__context__
        said = "; ".join(chain)
        if "busy" in said.lower() or "in use" in said.lower():
            return DataError(
                f"Another program uses {self.name}. Received: {said}. Remedy: end that program; "
                "`fuser -v /dev/media* /dev/video*` names it."
            )
        return DataError(
            f"{self.name} cannot be opened. Received: {said}. Remedy: check whether rpicam-hello shows a picture."
        )


class _Once:
    """Calls ``work`` the first time that it is called, and never again."""

    def __init__(self, work: partial[None]) -> None:
        self._work: partial[None] | None = work
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            work, self._work = self._work, None
        if work is not None:
            work()


def _taken(metadata: dict[str, Any], now: float) -> float:
    """When the sensor took a frame, by ``time.monotonic``: libcamera counts from boot, sleep included."""
    stamp = metadata.get("SensorTimestamp")
    if stamp is None:
        return now
    asleep = 0.0
    with contextlib.suppress(AttributeError, OSError):
        asleep = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    taken = float(stamp / 1e9 - asleep)
    return taken if 0.0 <= now - taken <= _MOST_AGE else now


_KEYS = {
    "camera": whole_key(0, 63, "a number from 0 to 63"),
    "size": SIZE,
    "fps": RATE,
    "stream": choice_key("main", "lores"),
    "denoise": choice_key(*_DENOISE),
    "sharpness": number_key(0, 16, "a number from 0 to 16"),
    "selftest": Key(lambda text: choice_key("on", "off").read(text) == "on", "on or off"),
}
