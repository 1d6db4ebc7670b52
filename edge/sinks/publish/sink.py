"""PublishSink: publishes the denoised camera to a server, which may go away and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from edge.run.frame import Frame
from edge.sinks.base import Sink, side_by_side
from edge.sinks.pace import Pace
from edge.sinks.publish.connection import Connection, NotNowError
from edge.sinks.publish.server import Server
from edge.sinks.trouble import Trouble
from quietcam.errors import DataError, MissingExtraError, QuietcamError
from quietcam.extras import has_av
from quietcam.image import Image, to_rgb

__all__ = ["PublishSink"]

_FIRST_RETRY, _LAST_RETRY = 0.5, 15.0  # seconds


class PublishSink(Sink):
    """Publishes frames in H.264, with the times that they were taken at.

    Of a camera: while the server is away, frames count as ``missed``, and the connection is tried again after 0.5,
    1, 2 … 15 s. A server that refuses is an error. No frame waits: whoever watches sees the newest one.

    Of a file: frames are sent at the speed at which the file plays, and a server that goes away is an error.

    Args:
        server: to which.
        fps: nominal frames a second.
        before_after: the noisy frame on the left of the denoised one.
        live: the source is a camera.
        clock: seconds, monotonic.

    Raises:
        MissingExtraError: PyAV is missing.
        DataError: (at a frame) the server refuses; of a file also: it does not answer.
        DeviceError: (at a frame) there is no encoder for H.264, or it fails.
    """

    gives_way = True

    def __init__(
        self,
        server: Server,
        fps: float = 25.0,
        before_after: bool = False,
        live: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not has_av():
            raise MissingExtraError.missing("av")
        self.name = server.name
        self.sent = self.connections = 0
        self.trouble = Trouble(self.name, "publishing", _FIRST_RETRY, _LAST_RETRY, clock)
        self._server, self._fps = server, fps
        self._before_after, self._live = before_after, live
        self._connection: Connection | None = None
        self._encoder: str | None = None
        self._shape: tuple[int, ...] = ()
        self._stopped = threading.Event()
        self._pace = Pace(self._stopped, clock)

    def open(self) -> None:
        self._stopped.clear()

    def write(self, frame: Frame, denoised: Image) -> None:
        self.frames += 1
        if not self.trouble.over:
            self.trouble.missed += 1
            return
        picture = side_by_side(frame.image, denoised) if self._before_after else to_rgb(denoised)
        if not self._live:
            self._pace.wait_for(frame.timestamp)
        try:
            self._send(picture, frame.timestamp)
        except NotNowError as error:
            self._drop()
            if self._stopped.is_set():
                return
            if not self._live:
                raise DataError(str(error)) from None
            self.trouble.missed += 1
            self.trouble.failed(error)
        except QuietcamError:
            self._drop()
            raise
        else:
            self.sent += 1
            self.trouble.works()

    def report(self) -> dict[str, Any]:
        return {
            "sent": self.sent,
            "missed": self.trouble.missed,
            "connections": self.connections,
            "waiting": self.trouble.waiting,
            "encoder": self._encoder,
        }

    def stop(self) -> None:
        self._stopped.set()
        if (connection := self._connection) is not None:
            connection.end_soon()

    def close(self) -> None:
        self._drop()

    def discard(self) -> None:
        self._drop()

    def _send(self, picture: Image, seconds: float) -> None:
        if self._connection is not None and picture.shape != self._shape:
            self._drop()
        if self._connection is None:
            height, width = picture.shape[:2]
            self._connection = Connection(self._server, (width, height), self._fps)
            self._connection.open()
            self._shape, self._encoder = picture.shape, self._connection.encoder
            self.connections += 1
        self._connection.send(picture, seconds)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
