"""A stand-in for the OS's picamera2, as far as the camera uses it: formats, requests, buffers that run out, controls.

It follows picamera2's manual and the behavior that its users report; it is not the hardware.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

_LAG = 3  # frames until a control shows
_PADDING = 32  # bytes behind each row


class Sensor:
    """The scene and the state of the machine, which tests set."""

    def __init__(self) -> None:
        self.cameras = [{"Model": "imx219", "Num": 0}]
        self.scene = (120.0, 60.0, 30.0)  # red, green, blue
        self.swapped = False  # a driver that mislabels its channels
        self.busy = False
        self.frozen = False  # the same picture again and again
        self.stuck = False  # no frame, and no error
        self.controls = ("Sharpness", "NoiseReductionMode", "ColourGains", "AwbEnable", "FrameRate")
        self.opened = self.closed = 0
        self.configured: dict[str, Any] = {}
        self.set: dict[str, Any] = {}
        self.other_format: str | None = None
        self.tunings: dict[str, dict[str, Any]] = {}  # the system's tuning files
        self.tuning: dict[str, Any] | None = None  # that the camera was opened with
        self.corner = 0.0  # how much brighter the upper left quarter of the scene is
        self.flips = True  # the ISP can exchange left and right, top and bottom

    def libcamera(self) -> ModuleType:
        """A module to put into ``sys.modules`` as libcamera."""
        module = ModuleType("libcamera")
        module.Transform = _Transform  # type: ignore[attr-defined]
        return module

    def module(self) -> ModuleType:
        """A module to put into ``sys.modules`` as picamera2."""
        module = ModuleType("picamera2")
        sensor = self

        class Picamera2(_Picamera2):
            def __init__(self, camera: int = 0, tuning: dict[str, Any] | None = None) -> None:
                sensor.tuning = tuning
                super().__init__(sensor, camera)

            @staticmethod
            def load_tuning_file(tuning_file: str) -> dict[str, Any]:
                if tuning_file not in sensor.tunings:
                    raise RuntimeError("Tuning file not found")
                return sensor.tunings[tuning_file]

            @staticmethod
            def global_camera_info() -> list[dict[str, Any]]:
                return sensor.cameras

        module.Picamera2 = Picamera2  # type: ignore[attr-defined]
        module.MappedArray = _MappedArray  # type: ignore[attr-defined]
        return module


@dataclass
class _Transform:
    hflip: bool = False
    vflip: bool = False


class _Picamera2:
    def __init__(self, sensor: Sensor, camera: int) -> None:
        try:
            if sensor.busy:
                raise RuntimeError("Failed to acquire camera: Device or resource busy")
            sensor.cameras[camera]
        except (RuntimeError, IndexError):
            raise RuntimeError("Camera __init__ sequence did not complete.")  # noqa: B904  as picamera2 does
        self.sensor = sensor
        self.camera_controls = dict.fromkeys(sensor.controls, (0, 1, 0))
        self.started = False
        self.free = threading.Semaphore(0)
        self.frames = 0
        self._gains: list[tuple[float, float]] = [(1.0, 1.0)]
        self._config: dict[str, Any] = {}
        sensor.opened += 1

    def create_video_configuration(self, **parts: Any) -> dict[str, Any]:
        return parts

    def configure(self, config: dict[str, Any]) -> None:
        self.sensor.configured = config
        asked = config.get("transform", _Transform())
        self._config = {"transform": asked if self.sensor.flips else _Transform()}
        for name in ("main", "lores"):
            if name in config:
                part = {"size": (640, 480), **config[name]}
                width = part["size"][0]
                part["stride"] = (width if part["format"] == "YUV420" else 3 * width) + _PADDING
                part["format"] = self.sensor.other_format or part["format"]
                self._config[name] = part
        self.set_controls(config["controls"])
        for _ in range(config["buffer_count"]):
            self.free.release()

    def camera_configuration(self) -> dict[str, Any]:
        return self._config

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.sensor.set |= controls

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.started = False

    def close(self) -> None:
        self.sensor.closed += 1

    def capture_request(self, wait: bool = True) -> _Job:
        assert wait is False
        return _Job(self)

    def expose(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.frames += not self.sensor.frozen
        wanted = (1.0, 1.0) if self.sensor.set.get("AwbEnable", True) else self.sensor.set["ColourGains"]
        self._gains = [*self._gains, wanted][-_LAG:]
        gains = self._gains[0]
        rng = np.random.default_rng(self.frames)
        planes = {}
        transform = self._config["transform"]
        for name in self._config.keys() & {"main", "lores"}:
            part = self._config[name]
            width, height = part["size"]
            colors = np.array(self.sensor.scene) * (gains[0], 1.0, gains[1])
            light = np.zeros((height, width, 1))
            light[: height // 2, : width // 2] = self.sensor.corner
            rgb = np.clip(colors + light + rng.normal(0.0, 2.0, (height, width, 3)), 0, 255).astype(np.uint8)
            rgb = rgb[:: -1 if transform.vflip else 1, :: -1 if transform.hflip else 1]
            planes[name] = _lay_out(rgb, part, self.sensor.swapped)
        metadata = {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME), "ColourGains": gains}
        return planes, metadata


def _lay_out(rgb: np.ndarray, part: dict[str, Any], swapped: bool) -> np.ndarray:
    """The bytes of a picture as libcamera lays them out."""
    import cv2

    height, width = rgb.shape[:2]
    if part["format"] == "YUV420":
        packed = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
        rows = np.zeros((height * 3 // 2, part["stride"]), np.uint8)
        rows[:height, :width] = packed[: height * width].reshape(height, width)
        # The chroma planes have rows of half the stride.
        chroma = np.zeros((height, part["stride"] // 2), np.uint8)
        chroma[:, : width // 2] = packed[height * width :].reshape(height, width // 2)
        rows[height:] = chroma.reshape(height // 2, part["stride"])
        return rows
    reversed_ = (part["format"] == "RGB888") != swapped
    rows = np.zeros((height, part["stride"]), np.uint8)
    rows[:, : 3 * width] = (rgb[..., ::-1] if reversed_ else rgb).reshape(height, 3 * width)
    return rows


class _Job:
    def __init__(self, native: _Picamera2) -> None:
        self._native = native

    def get_result(self, timeout: float | None = None) -> _Request:
        if self._native.sensor.stuck:
            time.sleep(timeout or 0.0)
            raise TimeoutError
        if not self._native.started or not self._native.free.acquire(timeout=timeout):
            raise TimeoutError
        return _Request(self._native)


class _Request:
    def __init__(self, native: _Picamera2) -> None:
        self.native = native
        self.planes, self._metadata = native.expose()
        self.released = False

    def get_metadata(self) -> dict[str, Any]:
        assert not self.released
        return self._metadata

    def release(self) -> None:
        assert not self.released, "released twice"
        self.released = True
        for plane in self.planes.values():
            plane[:] = 0xAA  # the sensor writes into the buffer again
        self.native.free.release()


class _MappedArray:
    def __init__(self, request: _Request, stream: str, write: bool = True) -> None:
        assert not write
        self.array = request.planes[stream]
        part = request.native.camera_configuration()[stream]
        if part["format"] != "YUV420":
            width, height = part["size"]
            self.array = self.array[:, : 3 * width].reshape(height, width, 3)

    def __enter__(self) -> _MappedArray:
        return self

    def __exit__(self, *exception: object) -> None:
        del self.array
