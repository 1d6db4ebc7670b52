"""The camera of a stream: RTSP, RTMP, UDP, TCP, SRT, and video over HTTP."""

from __future__ import annotations

from edge.cameras.base import Camera
from edge.cameras.network.opencv_stream import OpencvStream
from edge.cameras.network.url import CameraUrl
from quietcam.errors import MissingExtraError
from quietcam.extras import has_av

__all__ = ["has_length", "stream_camera"]

_OPENCV = ("http", "https", "rtsp", "rtsps")


def stream_camera(url: CameraUrl) -> Camera:
    """A camera that PyAV reads where it is installed, else OpenCV. It is not open yet.

    Raises:
        MissingExtraError: PyAV is not installed, and OpenCV does not read this scheme.
    """
    if has_av():
        from edge.cameras.network.av_stream import AvStream

        return AvStream(url)
    if url.scheme not in _OPENCV:
        raise MissingExtraError.missing("av")
    return OpencvStream(url)


def has_length(url: CameraUrl) -> bool:
    """Whether the video at ``url`` tells its length, as files do and live streams do not. False if PyAV is missing."""
    if not has_av():
        return False
    from edge.cameras.network.av_stream import tells_length

    return tells_length(url)
