"""OpencvStream: a stream that OpenCV reads: RTSP, HLS and other video over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.cameras.network import reach
from edge.cameras.network.url import CameraUrl
from edge.cameras.video_capture import VideoCaptureCamera
from edge.run.frame import Frame
from quietcam.data.pictures.opencv import open_capture
from quietcam.data.video.opencv import warn_of_old_opencv
from quietcam.terminal.log import log

__all__ = ["OpencvStream"]

_BLACK, _STEP = 50, 8  # first pictures that must be black in every eighth pixel for a warning


class OpencvStream(VideoCaptureCamera):
    """A stream as a live camera. A frame has the time of its arrival: no stream says when a sensor took it.

    Raises:
        DataError: (when opened) the camera does not answer, or sends no video.
    """

    def __init__(self, url: CameraUrl) -> None:
        super().__init__()
        self.name = url.name
        self.frozen_after = reach.FROZEN_PICTURES if url.scheme.startswith("http") else reach.FROZEN_VIDEO
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
                    "interlaced stream like this. Remedy: install the extra 'video', or set the camera to progressive."
                )
            yield frame

    def _open(self) -> Any:
        import cv2

        reach.check_name(self._url)
        opening, reading = round(1000 * reach.OPENING), round(1000 * reach.READING)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, opening, cv2.CAP_PROP_READ_TIMEOUT_MSEC, reading]
        native = open_capture(self._url.full, cv2.CAP_FFMPEG, limits)
        if native.isOpened():
            warn_of_old_opencv()
            return native
        native.release()
        raise reach.no_video(self._url, "answers without video that OpenCV can read")
