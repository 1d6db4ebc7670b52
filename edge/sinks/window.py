"""A window that shows the frames."""

from __future__ import annotations

import os
from typing import Any

from edge.frame import Frame
from edge.sinks.base import Sink, SinkEnded, side_by_side
from quietcam.errors import MissingExtraError, UsageError
from quietcam.image import Image, swap_red_blue, to_rgb

__all__ = ["WindowSink"]

_TITLE = "quietcam"
_LEAVE = (ord("q"), 27)  # Escape


class WindowSink(Sink):
    """Shows frames in a window of OpenCV until it is closed, or q or Escape is pressed.

    Everything of the window is done by the thread that writes, as its toolkit asks.

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
                "Remedy: run it on the desktop, or choose another --sink."
            )
        self._before_after = before_after
        self._lost: str | None = None
        self._shown = False

    def status(self, report: dict[str, Any]) -> None:
        import cv2

        camera = report["camera"]
        self._lost = camera["reason"] if camera["state"] == "lost" else None
        if self._shown:
            title = _TITLE if self._lost is None else f"{_TITLE}: no live video ({self._lost})"
            cv2.setWindowTitle(_TITLE, title)
            self._look()

    def write(self, frame: Frame, denoised: Image) -> None:
        import cv2

        picture = side_by_side(frame.image, denoised) if self._before_after else to_rgb(denoised)
        if not self._shown:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(_TITLE, picture.shape[1], picture.shape[0])
            self._shown = True
        cv2.imshow(_TITLE, swap_red_blue(picture))
        self.frames += 1
        self._look()

    def _look(self) -> None:
        """Let the window work; end where the user closed it."""
        import cv2

        key = cv2.waitKey(1) & 0xFF
        if key in _LEAVE or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            cv2.destroyAllWindows()
            self._shown = False
            raise SinkEnded


def _shows_windows(cv2: Any) -> bool:
    lines = (line.split(":", 1) for line in cv2.getBuildInformation().splitlines() if ":" in line)
    return next((value.strip() != "NONE" for key, value in lines if key.strip() == "GUI"), False)
