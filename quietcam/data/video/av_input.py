"""Opens a video or a stream with PyAV, with limits of time, of memory and of what it may open besides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from quietcam.data.pictures.opencv import readable_name
from quietcam.errors import DataError
from quietcam.extras import load_av
from quietcam.limits import MOST_FRAME_PIXELS

__all__ = ["decoder_threads", "open_input", "video_stream"]

_MOST_THREADS = 4
_MOST_STREAMS = "64"
_LOCAL = "file,crypto,data"
_HTTP = "http,https,httpproxy,tls,tcp,crypto,data"
_PROTOCOLS = {
    "http": _HTTP,
    "https": _HTTP,
    "rtsp": f"rtp,udp,tcp,{_HTTP}",
    "rtsps": f"rtp,srtp,udp,tcp,{_HTTP}",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "srt": "srt",
    "udp": "udp",
    "tcp": "tcp",
}
"""What a source of each scheme may open: a playlist from a server must not name files of this machine."""


def open_input(place: Path | str, times: tuple[float, float] | None = None, **options: str) -> Any:
    """An ``av.container.InputContainer``.

    Args:
        place: a file; or a URL, as text.
        times: seconds in which it must open, and in which the next bytes must come. Defaults to no limit.
        options: of FFmpeg, for the container and its codecs.

    Raises:
        UsageError: its name cannot be given to FFmpeg.
        DataError: it is a picture.
        av.FFmpegError: FFmpeg cannot open it.
        MissingExtraError: PyAV is not installed.
    """
    scheme = "" if isinstance(place, Path) else place.partition(":")[0].lower()
    options["protocol_whitelist"] = _PROTOCOLS.get(scheme, _LOCAL)
    options["max_pixels"] = str(MOST_FRAME_PIXELS)
    options["max_streams"] = _MOST_STREAMS
    with readable_name(place) as name:
        return load_av().open(name, options=options, timeout=times, metadata_errors="replace")


def video_stream(container: Any, name: str, threading: str) -> Any:
    """Its best stream of video, with a decoder of a few threads.

    Args:
        threading: ``AUTO``: several frames at a time, which come later; ``SLICE``: parts of one frame.

    Raises:
        DataError: it has none that can be decoded.
    """
    av = load_av()
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None or stream.disposition & av.stream.Disposition.attached_pic:
        raise DataError(f"A video must hold pictures that can be decoded. Received: {name}, without any.")
    stream.thread_type = threading
    stream.codec_context.thread_count = decoder_threads()
    stream.codec_context.options = {"max_pixels": str(MOST_FRAME_PIXELS)}
    return stream


def decoder_threads() -> int:
    """Threads of one decoder."""
    return min(_MOST_THREADS, os.cpu_count() or 1)
