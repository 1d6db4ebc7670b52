"""AvStream: a stream that PyAV reads, with the camera's own times."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from edge.cameras.base import Camera
from edge.cameras.network import reach
from edge.cameras.network.clock import StreamClock
from edge.cameras.network.url import CameraUrl
from edge.run.buffers import BufferPool
from edge.run.frame import Frame
from quietcam.data.pictures.opencv import check_frame_size
from quietcam.data.video.av_frames import DecodedFrames, JoinedFields
from quietcam.data.video.av_hardware import HardwareDecoder
from quietcam.data.video.av_input import open_input, video_stream
from quietcam.data.video.av_picture import AvPicture
from quietcam.data.video.video import sensible
from quietcam.errors import DataError
from quietcam.extras import load_av
from quietcam.process.native_output import native_output_caught

__all__ = ["AvStream", "tells_length"]

_FIRST = 15.0  # seconds until the first key frame
_ANALYZED = {"analyzeduration": "2000000", "probesize": "2000000"}  # microseconds, bytes
_OPTIONS = {
    "rtsp": {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video"},
    "rtsps": {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video"},
    "udp": {"overrun_nonfatal": "1"},
}


class AvStream(Camera):
    """A stream as a live camera. A frame has the time at which the camera sent it, as far as the stream tells.

    Raises:
        DataError: (when opened) the camera does not answer, refuses, or sends no video.
    """

    live = True

    def __init__(self, url: CameraUrl) -> None:
        super().__init__()
        self.name = url.name
        self.frozen_after = reach.FROZEN_PICTURES if url.scheme.startswith("http") else reach.FROZEN_VIDEO
        self._url = url
        self._container: Any = None
        self._size: tuple[int, int] | None = None
        self._stopped = threading.Event()
        self._pool = BufferPool()

    @property
    def size(self) -> tuple[int, int] | None:
        return self._size

    def open(self) -> None:
        if self._container is not None:
            return
        reach.check_name(self._url)
        self._container = self._opened()
        stream = self._stream = video_stream(self._container, self.name, "SLICE")
        check_frame_size(stream.width, stream.height, self.name)
        self._size = (stream.width, stream.height) if stream.width and stream.height else None
        self.fps = sensible(float(stream.average_rate or stream.guessed_rate or 0.0), 0.01, 1000.0)
        self.silence = _FIRST

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        stream = self._stream
        hardware = HardwareDecoder(stream, self.name)
        decoded = DecodedFrames(self._container, stream, hardware, self._stopped.is_set)
        fields, picture, clock = JoinedFields(stream, self.name), AvPicture(self.name), StreamClock()
        base = float(stream.time_base or 0.0)
        index = 0
        while not self._stopped.is_set():
            frame = self._next(decoded)
            now = time.monotonic()
            for shown in fields.put(frame):
                image = picture.convert(shown, self._pool.take)
                stamp = clock.stamp(None if shown.pts is None else shown.pts * base, now)
                self.silence = None
                yield Frame(image, stamp, index, release=partial(self._pool.give, image))
                index += 1

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _next(self, decoded: DecodedFrames) -> Any:
        try:
            frame = decoded.next()
        except load_av().error.FFmpegError as error:
            raise DataError(f"it sends no more frames: {_reason(error, reach.READING)}") from None
        if frame is None:
            raise DataError("it sends no more frames")
        return frame

    def _opened(self) -> Any:
        av = load_av()
        options = _ANALYZED | _OPTIONS.get(self._url.scheme, {})
        try:
            with native_output_caught(show=False):
                return open_input(self._url.full, (reach.OPENING, reach.READING), **options)
        except av.error.ProtocolNotFoundError:
            raise DataError(
                f"FFmpeg must know the protocol of a stream. Received: {self.name}, and PyAV's FFmpeg was built "
                f"without {self._url.scheme}. Remedy: let a server such as MediaMTX or go2rtc offer the stream by RTSP."
            ) from None
        except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError) as error:
            raise reach.no_video(self._url, f"refuses ({error.strerror})") from None
        except av.error.FFmpegError as error:
            raise reach.no_video(self._url, f"answers without video ({_reason(error, reach.OPENING)})") from None


def tells_length(url: CameraUrl) -> bool:
    """Whether the container at ``url`` tells how long its video is."""
    av = load_av()
    try:
        with native_output_caught(show=False):
            container = open_input(url.full, (reach.OPENING, reach.READING), **_ANALYZED)
        with contextlib.closing(container):
            return (container.duration or 0) > 0
    except (av.error.FFmpegError, ValueError, OSError):
        return False


def _reason(error: Any, seconds: float) -> str:
    """A few words. The error's own text tells the URL, with its password."""
    if isinstance(error, load_av().error.ExitError):
        return f"nothing came for {seconds:g} s"
    return str(error.strerror or type(error).__name__)
