"""Streams behind a URL that OpenCV reads: RTSP, HLS and other video over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.cameras.network.lookup import connect, look_up, no_answer
from edge.cameras.network.url import CameraUrl
from edge.cameras.video_capture import VideoCaptureCamera
from edge.run.frame import Frame
from quietcam.data.pictures.opencv import open_capture
from quietcam.data.video.opencv import warn_of_old_opencv
from quietcam.errors import DataError
from quietcam.terminal.log import log

__all__ = ["NetworkCamera"]

_OPENING_MS, _READING_MS = 5000, 3000
_FROZEN_PICTURES, _FROZEN_VIDEO = 4.0, 30.0  # seconds; a video codec may repeat a picture until its next key frame
_LOOKING_UP, _REACHING = 4.0, 2.0  # seconds
_BLACK, _STEP = 50, 8  # first pictures that must be black in every eighth pixel for a warning


class NetworkCamera(VideoCaptureCamera):
    """A stream as a live camera. A frame has the time of its arrival: no stream says when a sensor took it.

    Raises:
        DataError: (when opened) the camera does not answer, or sends no video.
    """

    def __init__(self, url: CameraUrl) -> None:
        super().__init__()
        self.name = url.name
        self.frozen_after = _FROZEN_PICTURES if url.scheme.startswith("http") else _FROZEN_VIDEO
        self._url = url

    def __iter__(self) -> Iterator[Frame]:
        black = 0
        for frame in super().__iter__():
            if black >= 0:
                black = -1 if frame.image[::_STEP, ::_STEP].any() else black + 1
            if black == _BLACK:  # a sensor in the dark shows noise, and compression keeps some of it
                black = -1
                log.warning(
                    f"{self.name} has sent {_BLACK} pictures that are completely black. OpenCV 4.13 and later show an "
                    "interlaced stream like this. Remedy: set the camera to progressive."
                )
            yield frame

    def _open(self) -> Any:
        import cv2

        self._check_name()
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPENING_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READING_MS]
        native = open_capture(self._url.full, cv2.CAP_FFMPEG, limits)
        if native.isOpened():
            warn_of_old_opencv()
            return native
        native.release()
        raise self._why_not()

    def _check_name(self) -> None:
        """Look up the name first: FFmpeg has no time limit for it."""
        try:
            look_up(self._url.host, self._url.port, _LOOKING_UP)
        except OSError as error:
            raise no_answer(self._url, error) from None

    def _why_not(self) -> DataError:
        try:
            connect(self._url.host, self._url.port, _REACHING).close()
        except OSError as error:
            return no_answer(self._url, error)
        return DataError(
            f"A camera's URL must give video that OpenCV can read. Received: {self.name}, which answers without video. "
            f"Remedy: check the path, the user and the password, for example with: ffplay {self.name}"
        )
