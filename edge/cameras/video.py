"""A video file as a camera."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge.cameras.base import Camera
from edge.frame import Frame
from quietcam.chatter import chatter_caught
from quietcam.errors import DataError, UsageError
from quietcam.progress import say

__all__ = ["VideoCamera"]


class VideoCamera(Camera):
    """Every frame of a video file, in order, as RGB.

    Raises:
        UsageError: there is no such file.
        DataError: (when opened) it is no video that OpenCV can read, or no frame of it can be decoded.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        if not path.is_file():
            raise UsageError(f"There is no such video file. Received: {path}. Remedy: check --source.")
        self.name = str(path)
        self._capture: Any = None
        self._size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        return self._size

    def open(self) -> None:
        import cv2

        if self._capture is not None:
            return
        with chatter_caught():
            capture = cv2.VideoCapture(self.name)
        if not capture.isOpened():
            raise DataError(
                f"OpenCV cannot read this file as a video. Received: {self.name}. "
                "Remedy: write it anew, for example with: ffmpeg -i FILE out.mp4"
            )
        self._capture = capture
        self._size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.fps = _sensible(capture.get(cv2.CAP_PROP_FPS), 1e-3, 1e3)
        frames = _sensible(capture.get(cv2.CAP_PROP_FRAME_COUNT), 1, 1e9)
        self.total = None if frames is None else int(frames)

    def __iter__(self) -> Iterator[Frame]:
        import cv2

        self.open()
        index, seconds = 0, 0.0
        while self._capture is not None:
            there, bgr = self._capture.read()
            if not there:
                break
            seconds = max(seconds, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            yield Frame(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), seconds, index)
            index += 1
        if not index:
            raise DataError(
                f"No frame of this video can be decoded. Received: {self.name}. "
                "Remedy: write it anew, for example with: ffmpeg -i FILE out.mp4"
            )
        if self.total is not None and self._capture is not None and index < self.total:
            self.skipped.append(f"{self.total - index} of {self.total} frames at the end")
            say(f"{self.name} says {self.total} frames; the last {self.total - index} cannot be decoded")

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def _sensible(value: float, least: float, most: float) -> float | None:
    """What a container says, where it can be true."""
    return value if math.isfinite(value) and least <= value <= most else None
