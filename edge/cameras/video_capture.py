"""VideoCaptureCamera: the base of all live cameras that OpenCV's VideoCapture reads."""

from __future__ import annotations

import os
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from edge.cameras.base import Camera
from edge.run.buffers import BufferPool
from edge.run.frame import Frame
from quietcam.data.pictures.opencv import check_frame_size
from quietcam.errors import DataError

__all__ = ["VideoCaptureCamera", "quiet_opencv"]

_BELIEVED = 5.0  # seconds: a driver's time stamp that is further away than this comes from another clock


class VideoCaptureCamera(Camera):
    """Frames of a VideoCapture in RGB. Their memory is used again. A failed read ends the iteration.

    OpenCV always gives BGR, so red and blue are swapped only if a driver labels its format wrongly, which this class
    cannot notice.
    """

    live = True
    stamped = False
    """Whether the backend says when a frame was taken, by the monotonic clock."""

    def __init__(self) -> None:
        super().__init__()
        self._native: Any = None
        self._size: tuple[int, int] | None = None
        self._stopped = threading.Event()
        self._pool = BufferPool()

    @abstractmethod
    def _open(self) -> Any:
        """An opened VideoCapture. Raises a QuietcamError that says why it cannot be opened."""

    @property
    def size(self) -> tuple[int, int] | None:
        return self._size

    def open(self) -> None:
        import cv2

        if self._native is not None:
            return
        quiet_opencv()
        native = self._open()
        self._native = native
        width, height = (int(native.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        check_frame_size(width, height, self.name)
        self._size = (width, height) if width > 0 and height > 0 else None
        rate = native.get(cv2.CAP_PROP_FPS)
        self.fps = rate if 0.01 <= rate <= 1000 else None

    def __iter__(self) -> Iterator[Frame]:
        import cv2

        self.open()
        index = 0
        bgr = None
        while not self._stopped.is_set() and self._native is not None:
            there, bgr = self._native.read(bgr)
            if not there:
                raise DataError("it sends no more frames")
            now = time.monotonic()
            check_frame_size(bgr.shape[1], bgr.shape[0], self.name)  # a stream may change its size
            if bgr.dtype != np.uint8:
                raise DataError(f"A camera's pixels must have 8 bits. Received: {self.name} with {bgr.dtype}.")
            if bgr.ndim == 2:
                bgr = bgr[..., np.newaxis]
            rgb = self._pool.take((*bgr.shape[:2], 3))
            cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB if bgr.shape[2] == 3 else cv2.COLOR_GRAY2RGB, dst=rgb)
            taken = self._native.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self.stamped else now
            if not 0.0 <= now - taken <= _BELIEVED:
                taken = now
            yield Frame(rgb, taken, index, release=partial(self._pool.give, rgb))
            index += 1

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._native is not None:
            self._native.release()
            self._native = None


def quiet_opencv() -> None:
    """Keep OpenCV and FFmpeg from printing each failed attempt: the error that is raised reports it once."""
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
