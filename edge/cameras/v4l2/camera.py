"""USB and other Video4Linux cameras, through OpenCV."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge.cameras.options import RATE, SIZE
from edge.cameras.v4l2.devices import current_size, unknown_reason, why_not
from edge.cameras.video_capture import VideoCaptureCamera
from quietcam.data.pictures.opencv import open_capture
from quietcam.errors import DataError
from quietcam.terminal.key_values import Key, parse_key_values
from quietcam.terminal.log import log

__all__ = ["V4l2Camera", "V4l2Options"]

_SAME_RATE = 0.01  # largest relative difference: 29.97 counts as 30
_FROZEN = 4.0  # seconds: a sensor's noise changes every frame
_FORMAT = re.compile(r"[A-Za-z0-9]{3,4}")  # a name of three, as Y16, ends with a space


@dataclass(frozen=True)
class V4l2Options:
    """The format that the camera is asked for. If it gives another one, that is logged.

    Attributes:
        size: ``(width, height)``; None: its default.
        fps: frames a second; None: its default.
        format: four characters such as ``MJPG``, ``YUYV`` or ``Y16`` with a space; None: its default.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    format: str | None = None

    @classmethod
    def parse(cls, text: str, options: V4l2Options | None = None) -> V4l2Options:
        """Options from ``KEY=VALUE,KEY=VALUE``.

        Raises:
            UsageError: an unknown key, or a value that does not fit it.
        """
        given = parse_key_values(text, _KEYS, "A video device", "/dev/video0:size=1280x720,fps=30")
        return replace(options or cls(), **given)


class V4l2Camera(VideoCaptureCamera):
    """A video device. A frame has the time at which the driver filled it.

    Raises:
        UsageError: (when opened) the device does not exist.
        DataError: (when opened) this user may not use it, it is busy, it is not a camera, or OpenCV cannot convert its
            pictures.
        NotReadyError: (when opened) it has just appeared, and the system does not let users open it yet.
    """

    stamped = True
    frozen_after = _FROZEN

    def __init__(self, path: Path, options: V4l2Options | None = None) -> None:
        super().__init__()
        self.name = str(path)
        self._path = path
        self._options = options or V4l2Options()

    def _open(self) -> Any:
        import cv2

        # The longest time for a frame, in seconds; OpenCV reads this when it opens a device.
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
        known = why_not(self._path)
        if known is not None:
            raise known
        own = None if self._options.size is not None else current_size(self._path)
        native = open_capture(self._path, cv2.CAP_V4L2)
        if not native.isOpened():
            native.release()
            raise why_not(self._path, fully=True) or unknown_reason(self._path)
        try:
            self._ask(native, own)
        except DataError:
            native.release()
            raise
        return native

    def plug(self) -> object:
        """Changes when the device file is made again or gets another owner; empty if it does not exist."""
        try:
            node = self._path.stat()
        except OSError:
            return ()
        return node.st_rdev, node.st_ino, node.st_ctime_ns, node.st_mode, node.st_gid

    def _ask(self, native: Any, own: tuple[int, int] | None) -> None:
        import cv2

        options = self._options
        size = options.size or own  # without a size OpenCV would ask for 640x480
        if options.format is not None:
            native.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.format))
        if size is not None:
            native.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            native.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if options.fps is not None:
            native.set(cv2.CAP_PROP_FPS, options.fps)
        width, height, rate = (
            native.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        )
        instead: list[str] = []
        if options.size is not None and (int(width), int(height)) != options.size:
            instead.append(f"{int(width)}x{int(height)} instead of {options.size[0]}x{options.size[1]}")
        if options.fps is not None and rate > 0.0 and abs(rate - options.fps) > _SAME_RATE * options.fps:
            instead.append(f"{rate:g} frames a second instead of {options.fps:g}")
        given = _four(int(native.get(cv2.CAP_PROP_FOURCC)))
        if not native.set(cv2.CAP_PROP_CONVERT_RGB, 1):  # asks whether OpenCV can convert
            raise DataError(
                f"A camera must give a pixel format that OpenCV can convert. Received: {self.name} with "
                f"{given or 'another one'}. Remedy: choose a format, as in {self.name}:format=MJPG; "
                f"this lists what it has: v4l2-ctl -d {self.name} --list-formats-ext"
            )
        if options.format is not None and given and _alike(given) != _alike(options.format):
            instead.append(f"{given} instead of {options.format}")
        if instead:
            log.warning(
                f"{self.name} gives {', '.join(instead)}; this lists what it has: "
                f"v4l2-ctl -d {self.name} --list-formats-ext"
            )


def _format(text: str) -> str:
    if not _FORMAT.fullmatch(text):
        raise ValueError
    return text.upper().ljust(4)


def _four(code: int) -> str:
    """A FOURCC as text, without the spaces at its end; empty if there is none."""
    return code.to_bytes(4, "little").decode("ascii", "replace").rstrip("\0 ") if code > 0 else ""


def _alike(four: str) -> str:
    return {"JPEG": "MJPG"}.get(four.strip(), four.strip())


_KEYS = {"size": SIZE, "fps": RATE, "format": Key(_format, "three or four characters such as MJPG, YUYV or Y16")}
