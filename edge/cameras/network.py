"""Cameras behind a URL: RTSP, and HTTP (an MJPEG stream, HLS)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from edge.cameras.capture import CaptureCamera
from quietcam.errors import DataError, UsageError

__all__ = ["SCHEMES", "NetworkCamera", "without_password"]

SCHEMES = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""And their ports."""

_OPENING_MS, _READING_MS = 5000, 3000
_FROZEN_PICTURES, _FROZEN_VIDEO = 4.0, 30.0  # seconds; a video codec may repeat a picture until its next key frame
_REACHING = 2.0  # seconds


class NetworkCamera(CaptureCamera):
    """A stream as a live camera. Frames are stamped with their arrival: no stream says when a sensor took them.

    Args:
        url: one of ``SCHEMES``; a user, a password and the values of a query in it are never shown.

    Raises:
        UsageError: it is no such URL.
        DataError: (when opened) nothing answers, or no video comes.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        try:
            parts = urlsplit(url)
            known = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, half of an IPv6 address
            known = False
        if not known:
            raise UsageError(
                f"The URL of a camera is one of {', '.join(f'{scheme}://HOST/…' for scheme in SCHEMES)}. Received: "
                f"{without_password(url)}. Remedy: see the camera's manual for its stream's URL."
            )
        self.name = without_password(url)
        self.frozen_after = _FROZEN_PICTURES if parts.scheme.startswith("http") else _FROZEN_VIDEO
        self._url = url

    def _open(self) -> Any:
        import cv2

        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPENING_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READING_MS]
        native = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, limits)
        if native.isOpened():
            return native
        native.release()
        raise DataError(self._why_not())

    def _why_not(self) -> str:
        import socket

        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or SCHEMES[parts.scheme]
        try:
            socket.create_connection((host, port), _REACHING).close()
        except OSError as error:
            said = error.strerror or str(error) or type(error).__name__
            return (
                f"A camera must answer at its URL. Received: {self.name}, where {host} port {port} does not ({said}). "
                "Remedy: check the address, the network and that the camera has power."
            )
        return (
            f"A camera's URL must give video that OpenCV can read. Received: {self.name}, which answers without any. "
            f"Remedy: check the path, the user and the password, for example with: ffplay {self.name}"
        )


def without_password(url: str) -> str:
    """The URL as it may be shown: cameras take passwords before the host, or in the query."""
    scheme, mark, rest = url.partition("://")
    _, at, place = rest.rpartition("@")
    place, query, values = place.partition("?")
    return f"{scheme}{mark}{at and '***@'}{place}{query}{re.sub(r'=[^&]*', '=***', values)}"
