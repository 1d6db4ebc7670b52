"""WebSink: the web page, with live picture, status, metrics and controls for browsers and programs."""

from __future__ import annotations

import re
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.run.frame import Frame
from edge.sinks.base import Sink
from edge.web.access import LONGEST_TOKEN, SHORTEST_TOKEN, Access, is_loopback, new_token
from edge.web.panels.clip import Clips
from edge.web.panels.curves import Curves
from edge.web.state import State
from quietcam.errors import UsageError
from quietcam.files.at_file import read_at_file
from quietcam.image import Image
from quietcam.terminal.log import log
from quietcam.terminal.printable import printable

if TYPE_CHECKING:
    import asyncio

    from aiohttp import web

    from edge.web.app import Controls
    from edge.web.guard import Limits
    from edge.web.hub import Hub
    from edge.web.server import Server

__all__ = ["WebOptions", "WebSink"]

_PORT = 8080
_HOST = re.compile(r"(?!-)[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]{1,32})?")
_SHOWN = 100  # characters of what was received
_LINES_A_MINUTE = 10
_OTHER_CONNECTIONS = 56  # besides the streams: status, snapshots, and connections that strangers keep open


@dataclass(frozen=True)
class WebOptions:
    """How to serve the page. ``repr`` does not show the token.

    Attributes:
        host, port: address to listen on; port 0 takes any free port.
        token: token that viewers must enter to open the page; None: no token is needed.
        generated: quietcam made the token, so it must show it to the user.
        names: host names of the page, besides those of this machine.
        viewers: most streams at the same time.
        quality: JPEG quality, 1 to 100.
    """

    host: str = "127.0.0.1"
    port: int = _PORT
    token: str | None = field(default=None, repr=False)
    generated: bool = False
    names: tuple[str, ...] = ()
    viewers: int = 8
    quality: int = 80

    @classmethod
    def of(
        cls,
        listen: str,
        token: str | None = None,
        open_to_all: bool = False,
        names: tuple[str, ...] = (),
        viewers: int = 8,
        quality: int = 80,
    ) -> WebOptions:
        """Options as a user gives them.

        Args:
            listen: ``HOST``, ``HOST:PORT``, ``:PORT`` or ``[IPv6]:PORT``.
            token: the token, ``auto`` to make one, or ``@FILE`` to read it.
            open_to_all: allow no token at an address that other machines can reach.

        Raises:
            UsageError: one of the options is wrong, or a token is missing.
        """
        host, port = _address(listen)
        if odd := [name for name in names if not _HOST.fullmatch(name)]:
            raise UsageError(
                "`host_name` is a name that a browser may ask for. "
                f"Received: {printable(odd[0])[:_SHOWN] or '(nothing)'}. Remedy: for example camera.local"
            )
        if not 1 <= viewers <= 1000:
            raise UsageError(f"`viewers` must be 1 to 1000. Received: {viewers}. Remedy: for example 8.")
        if not 1 <= quality <= 100:
            raise UsageError(f"`jpeg_quality` must be 1 to 100. Received: {quality}. Remedy: for example 80.")
        if token is None and not open_to_all and not is_loopback(host):
            raise UsageError(
                f"A page that other machines can reach needs a token. Received: `listen` {listen} and no token. "
                "Remedy: set `token` to auto, which makes one and prints it; or set QUIETCAM_TOKEN; or set "
                "`open_to_all` to let everybody in."
            )
        generated = token == "auto"
        secret = None if token is None else new_token() if generated else _token(token)
        return cls(host, port, secret, generated, tuple(names), viewers, quality)


class WebSink(Sink):
    """Serves the newest frame to all viewers. It takes no computing time while nobody watches.

    Args:
        options: how to serve the page.
        controls: what the page may see and change.
        live: the source is a camera, which must keep delivering.
        limits: of connections. Defaults to limits that fit ``options``.
        announce: called once for each line about the page's address. The address contains the token if quietcam made
            it. Defaults to the log, which hides the token.

    Raises:
        UsageError: (when opened) the port is in use, or the address is not one of this machine.
    """

    name = "web"

    def __init__(
        self,
        options: WebOptions,
        controls: Controls,
        live: bool = True,
        limits: Limits | None = None,
        announce: Callable[[str], None] = log.info,
    ) -> None:
        self.options = options
        self.address = ""
        """Where the page is, once open: ``http://127.0.0.1:8080/``."""
        self._controls = controls
        self._limits = limits
        self._state = State(live=live)
        self.curves = Curves()
        """What was measured in the last hour."""
        self.clips = Clips()
        """Makes short recordings."""
        self._hub: Hub | None = None
        self._server: Server | None = None
        self._announce = announce
        self._announced = False
        self._encoded = 0  # frames that closed hubs encoded

    def open(self) -> None:
        if self._server is not None:
            return
        # Imported here, so that runs without a page do not load it.
        from edge.web.app import App
        from edge.web.guard import Limits
        from edge.web.hub import Hub
        from edge.web.server import Server, bind

        options = self.options
        listening = bind(options.host, options.port)
        port = listening.getsockname()[1]
        errors, guesses = _LimitedLog(), _LimitedLog()
        self._hub = hub = Hub(
            options.quality,
            lambda error: errors.warning(f"A frame could not be encoded: {error}"),
            encoded=self._encoded,
        )
        app = App(
            hub=hub,
            state=self._state,
            controls=self._controls,
            access=Access(options.token, port),
            names=_names(options),
            viewers=options.viewers,
            warn=errors.warning,
            warn_of_guesses=guesses.warning,
            curves=self.curves,
            clips=self.clips,
        )

        def application(loop: asyncio.AbstractEventLoop) -> web.Application:
            hub.start(loop)
            return app.application()

        limits = self._limits or Limits(options.viewers + _OTHER_CONNECTIONS)
        self._server = Server(listening, application, limits)
        self._server.start()
        self.address = f"http://{_shown(options.host)}:{port}/"
        if not self._announced:
            self._announced = True
            for line in self._lines(port):
                self._announce(line)

    def wants(self, frame: Frame) -> bool:  # noqa: ARG002
        return self._hub is not None and self._hub.snapshot_wanted

    def write(self, frame: Frame, denoised: Image) -> None:
        self._state.frame()
        if self._hub is not None:
            self._hub.offer(frame, denoised)
            self.clips.offer(frame, denoised)
        self.frames += 1

    def status(self, report: dict[str, Any]) -> None:
        self._state.update(report)
        self.curves.add(report)

    def report(self) -> dict[str, Any]:
        hub = self._hub
        if hub is None:
            return {"viewers": 0, "encoded": self._encoded}
        return {"viewers": hub.watching, "encoded": hub.encoded}

    def close(self) -> None:
        self.clips.close()
        if self._server is not None:
            self._server.close()
        if self._hub is not None:
            self._hub.close()
            self._encoded = self._hub.encoded
        self._server = self._hub = None

    def discard(self) -> None:
        self.close()

    def _lines(self, port: int) -> list[str]:
        """The lines that the user sees at the start. They show the token only if quietcam made it."""
        query = f"?token={self.options.token}" if self.options.generated else ""
        lines = [f"Live picture: {self.address}{query}"]
        if is_loopback(self.options.host):
            lines.append(
                f"Only this machine can open it. From another: ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}, "
                "or set `listen` to 0.0.0.0 and `token` to auto"
            )
        elif self.options.token is None:
            lines.append("No token is needed: everybody who can reach this address sees the camera")
        return lines


class _LimitedLog:
    """The log, limited to a few lines a minute: strangers must not be able to fill it."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_LINES_A_MINUTE)

    def warning(self, line: str) -> None:
        now = time.monotonic()
        if len(self._times) < _LINES_A_MINUTE or now - self._times[0] > 60:
            self._times.append(now)
            log.warning(line)


def _address(listen: str) -> tuple[str, int]:
    """``(host, port)`` of an address in one of the forms that ``WebOptions.of`` takes."""
    host, colon, port = listen.rpartition(":")
    if not colon or listen.endswith("]") or (listen.count(":") > 1 and not listen.startswith("[")):
        host, port = listen, str(_PORT)  # an address without port; it may be IPv6 without brackets
    host = (host or "127.0.0.1").strip("[]")
    known = re.fullmatch(r"[0-9]{1,5}", port) is not None and int(port) < 65536
    if not known or not _HOST.fullmatch(host):
        raise UsageError(
            f"`listen` is HOST, HOST:PORT or [IPv6]:PORT. Received: {printable(listen)[:_SHOWN] or '(nothing)'}. "
            "Remedy: for example 0.0.0.0:8080"
        )
    return host, int(port)


def _token(token: str) -> str:
    """The token as given, or read from ``@FILE``."""
    if token.startswith("@"):
        token = read_at_file(token, "a token", "the token").strip()
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not token.isprintable():
        odd = "" if token.isprintable() else ", and a character that is not printable"
        raise UsageError(
            f"A token has {SHORTEST_TOKEN} to {LONGEST_TOKEN} printable characters. "
            f"Received: a length of {len(token)}{odd}. Remedy: set `token` to auto, which makes a good one."
        )
    return token


def _names(options: WebOptions) -> frozenset[str]:
    """The host names of this machine."""
    own = socket.gethostname().lower()
    names = {"localhost", *(name.lower().rstrip(".") for name in options.names)}
    if not is_loopback(options.host):
        names |= {own, own.split(".")[0], f"{own.split('.')[0]}.local", f"{own.split('.')[0]}.lan"}
    return frozenset(names)


def _shown(host: str) -> str:
    """The host to show in an address that another machine can open."""
    if host in ("0.0.0.0", "::", ""):
        host = _outward_address() or socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _outward_address() -> str | None:
    """This machine's address in its network. Nothing is sent: a datagram socket only looks up the route."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))  # reserved for documentation: no machine has it
        return str(probe.getsockname()[0])
    except OSError:
        return None
    finally:
        probe.close()
