"""Connection: one stream to a server, from its first frame until either side ends it."""

from __future__ import annotations

from edge.cameras.network.lookup import connect, look_up, reason_of
from edge.child.process import Child, ChildError, Shared
from edge.sinks.publish.job import FRAME
from edge.sinks.publish.server import Server
from quietcam.errors import DataError, DeviceError, MissingExtraError, QuietcamError
from quietcam.image import Image
from quietcam.terminal.secrets import shown

__all__ = ["Connection", "NotNowError"]

_JOB = "edge.sinks.publish.job:run"
_REACH, _OPEN, _SEND = 2.0, 10.0, 5.0  # seconds that the server has for these
_START = 300.0  # seconds that a process may take to start, on any machine


class NotNowError(QuietcamError):
    """The server cannot be reached, or went away: it may be there later."""


class Connection:
    """Publishes frames, uint8 ``(H, W, 3)`` of one size, from a process of its own: whatever the server does, only a
    call of this class waits for it, and for seconds.

    Args:
        server: to which.
        size: ``(width, height)``.
        fps: nominal frames a second.

    Attributes:
        encoder: FFmpeg's name of the encoder, once it is open.
    """

    def __init__(self, server: Server, size: tuple[int, int], fps: float) -> None:
        self.encoder: str | None = None
        self._server, self._size, self._fps = server, size, fps
        self._child: Child | None = None
        self._memory: Shared | None = None
        self._ended = False

    def open(self) -> None:
        """Connect.

        Raises:
            NotNowError: the server does not answer.
            DataError: it refuses: the user, the password, or the path is wrong; or this FFmpeg lacks the protocol.
            DeviceError: there is no encoder for H.264.
        """
        self._reach()
        server, (width, height) = self._server, self._size
        about = {"url": server.url, "name": server.name, "format": server.format, "options": server.options}
        self._memory = Shared(3 * width * height)
        self._child = Child(_JOB, about | {"width": width, "height": height, "fps": self._fps}, [self._memory])
        if self._ended:  # while it was made
            self._child.kill()
        self._answer(b"", _START)
        self.encoder = self._answer(b"go", _OPEN).decode()

    def send(self, picture: Image, seconds: float) -> None:
        """Send a frame that was taken at ``seconds``.

        Raises:
            NotNowError: the server went away, or takes no more.
            DeviceError: the encoder fails.
        """
        assert self._memory is not None
        self._memory.array(picture.shape, picture.dtype)[:] = picture
        self._answer(FRAME.pack(seconds), _SEND)

    def end_soon(self) -> None:
        """Make a call that waits for the server fail now. For any thread."""
        self._ended = True
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """Say goodbye if the server still listens; returns at once. For the thread that sends; may be called twice."""
        if self._child is not None:
            self._child.close()
        if self._memory is not None:
            self._memory.close()

    def _answer(self, message: bytes, seconds: float) -> bytes:
        """The child's next answer, to ``message`` if there is one."""
        assert self._child is not None
        try:
            if message:
                self._child.tell(message)
            return bytes(self._child.answer(seconds))
        except (DataError, DeviceError, MissingExtraError):
            raise
        except ChildError as error:
            raise NotNowError(
                f"A server must take the stream. Received: {self._server.name}: {shown(str(error))}. "
                "Remedy: check the server and the network."
            ) from None
        except QuietcamError as error:
            raise NotNowError(str(error)) from None

    def _reach(self) -> None:
        """Look whether anybody listens, before a process is started for it."""
        host, port = self._server.host, self._server.port
        try:
            if self._server.by_tcp:
                connect(host, port, _REACH).close()
            else:
                look_up(host, port, _REACH)
        except OSError as error:
            raise NotNowError(
                f"A server must answer at its URL. Received: {self._server.name}: no answer from {host} port {port} "
                f"({reason_of(error)}). Remedy: check that it runs, its address and the network."
            ) from None
