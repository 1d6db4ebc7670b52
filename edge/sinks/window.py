"""WindowSink: shows the frames in a window."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from edge.run.frame import Frame
from edge.sinks.base import Sink, SinkEnded, side_by_side
from quietcam.errors import MissingExtraError, UsageError
from quietcam.image import Image, swap_red_blue, to_rgb

__all__ = ["WindowSink"]

_TITLE = "quietcam"
_LEAVE = (ord("q"), 27)  # Escape


class WindowSink(Sink):
    """Shows frames in an OpenCV window until the user closes it, or presses q or Escape.

    Only the thread that writes uses the window, as its toolkit requires. The title says how frames are denoised. While
    the camera is lost, the window shows a notice with the time of the loss in place of the last frame.

    Args:
        before_after: the noisy frame on the left of the denoised one.

    Raises:
        MissingExtraError: this OpenCV cannot show windows.
        UsageError: there is no screen.
    """

    name = "window"

    def __init__(self, before_after: bool = False) -> None:
        import cv2

        if not _shows_windows(cv2):
            raise MissingExtraError(
                "A window needs an OpenCV that can show one. Received: opencv-python-headless. Remedy: "
                "pip uninstall -y opencv-python-headless; pip install 'quietcam[window]'"
            )
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise UsageError(
                "A window needs a screen. Received: neither DISPLAY nor WAYLAND_DISPLAY is set. "
                "Remedy: run it on the desktop, or choose another `sink`."
            )
        self._before_after = before_after
        self._title = _TITLE
        self._size: tuple[int, int] | None = None  # of the window, once there is one

    def status(self, report: dict[str, Any]) -> None:
        import cv2

        camera = report["camera"]
        lost = camera["state"] == "lost"
        if lost:  # every time, because a last frame may have arrived late
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(camera["since"]))
            self._show(_notice(f"no live video since {since}", self._size or (640, 480)))
        words = f"no live video ({camera['reason']})" if lost else (report.get("work") or {}).get("words")
        title = f"{_TITLE}: {words}" if words else _TITLE
        if title != self._title and self._size is not None:
            cv2.setWindowTitle(_TITLE, title)
            self._title = title
        if self._size is not None:
            self._look()

    def write(self, frame: Frame, denoised: Image) -> None:
        picture = side_by_side(frame.image, denoised) if self._before_after else to_rgb(denoised)
        self._show(picture)
        self.frames += 1
        self._look()

    def _show(self, picture: Image) -> None:
        import cv2

        size = picture.shape[1], picture.shape[0]
        if self._size is None:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(_TITLE, *size)
        self._size = size
        cv2.imshow(_TITLE, swap_red_blue(picture))

    def _look(self) -> None:
        """Let the window handle its events; end if the user closed it."""
        import cv2

        key = cv2.waitKey(1) & 0xFF
        if key in _LEAVE or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            cv2.destroyAllWindows()
            self._size = None
            raise SinkEnded


def _notice(text: str, size: tuple[int, int]) -> Image:
    """A dark picture of ``(width, height)`` with ``text`` across its middle."""
    import cv2

    width, height = size
    picture = np.full((height, width, 3), 24, np.uint8)
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, width // 400)
    (length, _), _ = cv2.getTextSize(text, font, 1.0, thickness)
    scale = 0.9 * width / length
    cv2.putText(picture, text, (width // 20, height // 2), font, scale, (230, 230, 230), thickness, cv2.LINE_AA)
    return picture


def _shows_windows(cv2: Any) -> bool:
    lines = (line.split(":", 1) for line in cv2.getBuildInformation().splitlines() if ":" in line)
    return next((value.strip() != "NONE" for key, value in lines if key.strip() == "GUI"), False)
