"""The job of a publisher's child process: it encodes frames and sends them. FFmpeg holds Python's lock while it waits
for a server, so this must not happen in the process that denoises.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from edge.child.link import Link
from edge.sinks.video.encoder import Encoder
from edge.sinks.video.times import Times
from quietcam.errors import DataError, QuietcamError
from quietcam.extras import load_av

__all__ = ["FRAME", "READY", "run"]

READY = b"ready"
FRAME = struct.Struct("<d")
"""The message that a frame lies in the shared memory: its time in seconds."""

_NICE = 5  # where frames use all of the processor, the network goes first
_KEY_EVERY = 1.0  # seconds: whoever begins to watch waits so long
_BITS_PER_PIXEL = 0.15  # of a frame, at most and in the mean
_LEAST_RATE = 300_000  # bits a second


def run(link: Link) -> None:
    """Publish the frames that lie in the shared memory, one after another, as ``link.argument`` says.

    It answers ``READY`` once it can begin, then each message: the first, which lets it connect, with the name of the
    encoder, and each frame with nothing.

    Raises:
        DataError: the server refuses, or this FFmpeg lacks the protocol.
        DeviceError: there is no encoder for H.264, or it fails.
        QuietcamError: the server went away, or takes nothing.
    """
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    told = link.argument
    width, height, fps = int(told["width"]), int(told["height"]), float(told["fps"])
    av = load_av()
    picture = np.ndarray((height, width, 3), np.uint8, buffer=link.shared[0])
    times = Times(fps)
    link.send(READY)
    if link.receive() is None:
        return
    with _explained(av, told["name"]):
        container = av.open(told["url"], "w", format=told["format"], container_options=told["options"])
        rate = max(_LEAST_RATE, round(_BITS_PER_PIXEL * width * height * fps))
        encoder = Encoder(container, (width, height), fps, _KEY_EVERY, rate)
        container.start_encoding()
        link.send(encoder.name.encode())
        while (message := link.receive()) is not None:
            (seconds,) = FRAME.unpack(message)
            tick = times.tick(seconds)
            for packet in encoder.encode(picture, tick, times.interval):
                container.mux_one(packet)
            link.send()
    with contextlib.suppress(av.FFmpegError, OSError):  # says goodbye, if the server still listens
        container.close()


@contextlib.contextmanager
def _explained(av: Any, name: str) -> Iterator[None]:
    """Errors of FFmpeg as ours. Their own text holds the URL with its password."""
    try:
        yield
    except QuietcamError:
        raise
    except av.error.ProtocolNotFoundError:
        raise DataError(
            f"FFmpeg must know the protocol of a stream. Received: {name}, and PyAV's FFmpeg was built without "
            f"{name.partition(':')[0]}. Remedy: publish by rtsp:// or rtmp://, which the same servers take."
        ) from None
    except av.error.HTTPClientError as error:
        raise DataError(
            f"A server must let quietcam publish. Received: {name}, which refuses ({error.strerror}). "
            "Remedy: check user, password and path, and that the server allows this path to be published to."
        ) from None
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise QuietcamError(
            f"A server must take the stream. Received: {name}, and the connection failed ({reason}). "
            "Remedy: check that it runs, and that it lets this user publish to this path."
        ) from None
