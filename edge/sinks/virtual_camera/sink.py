"""VirtualCameraSink: shows the denoised frames as a camera of this machine."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge.run.frame import Frame
from edge.sinks.base import Sink, side_by_side
from edge.sinks.pace import Pace
from edge.sinks.virtual_camera.device import LoopbackDevice
from edge.sinks.virtual_camera.driver import Driver
from edge.sinks.ycbcr import to_yuyv
from quietcam.image import Image, even_sides, to_rgb
from quietcam.terminal.log import log

__all__ = ["VIRTUAL_CAMERA_MEANS", "VirtualCameraSink", "is_device"]

VIRTUAL_CAMERA_MEANS = "/dev/video10 (a virtual camera by v4l2loopback)"


class VirtualCameraSink(Sink):
    """Writes frames to a device of v4l2loopback, where browsers, OBS, ffmpeg and others find a camera.

    Frames are YUYV in the colors of a webcam (BT.601, limited range). An odd side gets one more row or column. All
    frames have the size of the first one, or the one in which a program reads the device already: others are scaled.
    Of a file, frames come at the speed at which it plays.

    Args:
        path: the device.
        fps: frames a second that readers are told.
        before_after: the noisy frame on the left of the denoised one.
        live: the source is a camera.
        driver: the calls to the kernel. Defaults to the real ones.
        clock: seconds, monotonic.

    Raises:
        UsageError: (when checked or opened) the device does not exist, or is none of v4l2loopback.
        DataError: (when checked, opened or written to) this user may not use it, another program writes to it, or it
            takes no pictures.
    """

    def __init__(
        self,
        path: Path,
        fps: float = 25.0,
        before_after: bool = False,
        live: bool = True,
        driver: Driver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = str(path)
        self._device = LoopbackDevice(path, driver)
        self._fps, self._before_after, self._live = fps, before_after, live
        self._stopped = threading.Event()
        self._pace = Pace(self._stopped, clock)
        self._size: tuple[int, int] | None = None

    def check(self) -> None:
        try:
            self._device.open()
        finally:
            self._device.close()

    def open(self) -> None:
        self._stopped.clear()
        self._device.open()

    def write(self, frame: Frame, denoised: Image) -> None:
        picture = even_sides(side_by_side(frame.image, denoised) if self._before_after else to_rgb(denoised))
        if not self._live:
            self._pace.wait_for(frame.timestamp)
        size = picture.shape[1], picture.shape[0]
        if self._size is None:
            self._size = self._device.start(size, self._fps)
            if self._size != size:
                log.warning(
                    f"{self.name}: a program reads it in {self._size[0]}x{self._size[1]}, so frames of "
                    f"{size[0]}x{size[1]} are scaled to that"
                )
        self._device.write(to_yuyv(picture if self._size == size else _scaled(picture, self._size)))
        self.frames += 1

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._size = None
        self._device.close()

    def discard(self) -> None:
        self.close()


def is_device(target: str) -> bool:
    """Whether ``target`` is written as a device, and not as a folder in the memory of ``/dev/shm``."""
    return re.match(r"/dev/(?!shm(/|$))", target) is not None


def _scaled(picture: Image, size: tuple[int, int]) -> Image:
    import cv2
    import numpy as np

    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
