"""Server: where a stream is published, from its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from edge.cameras.network.url import CameraUrl
from quietcam.errors import UsageError
from quietcam.terminal.secrets import shown

__all__ = ["PUBLISH_MEANS", "Server", "is_server"]

_FORMATS = {"rtsp": "rtsp", "rtsps": "rtsp", "rtmp": "flv", "rtmps": "flv", "srt": "mpegts"}
"""FFmpeg's names of what is sent, by scheme."""

_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},  # of UDP no sender notices that the server is gone
    "flv": {"flvflags": "no_duration_filesize"},
    "mpegts": {},
}

PUBLISH_MEANS = "a server (rtsp://…, rtsps://…, rtmp://…, rtmps://… or srt://…)"


@dataclass(frozen=True)
class Server:
    """A server and the place of the stream on it.

    Attributes:
        name: its URL as it may be shown, without secrets.
        url: its URL with them, for FFmpeg. Never show it.
        host, port: where it is.
        format: FFmpeg's name of what is sent.
        options: FFmpeg's options for it.
        by_tcp: whether it is reached by TCP; SRT uses UDP.
    """

    name: str
    url: str = field(repr=False)
    host: str
    port: int
    format: str
    options: dict[str, str]
    by_tcp: bool

    @classmethod
    def parse(cls, text: str) -> Server:
        """The server of a URL. A password may be written literally or with % codes.

        Raises:
            UsageError: it is no such URL.
        """
        try:
            url = CameraUrl.parse(text)
        except UsageError:
            url = None
        if url is None or url.scheme not in _FORMATS:
            raise UsageError(
                f"A stream is published to {', '.join(f'{scheme}://HOST/…' for scheme in _FORMATS)}. If the server "
                "asks for a password, put user, colon, password and @ before HOST, with / as %2F, ? as %3F, # as %23 "
                f"and @ as %40. Received: {shown(text, whole=True)}. Remedy: for example rtsp://10.0.0.5:8554/door"
            )
        kind = _FORMATS[url.scheme]
        return cls(url.name, url.full, url.host, url.port, kind, _OPTIONS[kind], url.scheme != "srt")


def is_server(target: str) -> bool:
    """Whether ``target`` is written as the URL of a server that takes streams."""
    return re.match(rf"({'|'.join(_FORMATS)}):", target, re.IGNORECASE) is not None
