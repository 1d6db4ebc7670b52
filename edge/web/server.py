"""Server: runs the page in a thread with its own event loop, and ends it cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.web.guard import Guard, Limits
from quietcam.errors import QuietcamError, UsageError
from quietcam.process.stopping import process

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["Server", "bind"]

_QUIET = logging.getLogger("quietcam.web")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False  # requests of strangers do not belong into the log
_QUIET.setLevel(logging.ERROR)  # so aiohttp does not even compose a line for each request

# Connections that the kernel keeps for us. If it has no room, a client gets no answer and asks again after 1, 3, 7 s.
_BACKLOG = 4096
# Seconds for which the kernel keeps a connection without data; in HTTP, clients send first. So silent clients
# take no place of ours meanwhile, and requests of other clients are complete when these get a place.
_SILENT_SECONDS = 3
# Accepted in one round of the loop. A request is read some rounds after its connection came. Until then, fewer new ones
# may come than edge/web/guard.py spares, or the connection would be ended unread.
_ACCEPTED_AT_ONCE = 4
_ROUNDS = 4  # of the loop, after which an accepted connection has a guard, which can end it
_SHUTDOWN_SECONDS = 0.5
_GRACE = 2.0  # seconds that the thread has to end


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: the port is in use or not allowed, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=family == socket.AF_INET6 and host == "::"
        )
    except (OSError, OverflowError) as error:
        raise UsageError(_why(error, host, port)) from None
    with contextlib.suppress(AttributeError, OSError):  # not every system has this option
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT_SECONDS)
    return listening


def _why(error: Exception, host: str, port: int) -> str:
    number = getattr(error, "errno", None)
    remedy = {
        errno.EADDRINUSE: f"another program has this port; choose another by `listen`, for example {host}:{port + 1}",
        errno.EACCES: "ports below 1024 are the administrator's; choose one above, for example 8080",
        errno.EADDRNOTAVAIL: "that address is not this machine's; `ip addr` lists those that are",
    }.get(number or 0, "give an address of this machine and a port by `listen`, for example 127.0.0.1:8080")
    said = os.strerror(number) if number and number > 0 else str(error)
    return f"The page needs an address to listen on. Received: {host}:{port}: {said}. Remedy: {remedy}."


class Server:
    """Runs an aiohttp application in a thread. ``start`` returns when it answers; ``close`` when it has ended.

    Args:
        listening: a bound socket; closed with the server.
        application: makes the application, inside the loop, as its parts need.
        limits: of the connections.
    """

    def __init__(
        self,
        listening: socket.socket,
        application: Callable[[asyncio.AbstractEventLoop], web.Application],
        limits: Limits,
    ) -> None:
        self._socket = listening
        self._application = application
        self._limits = limits
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="quietcam-web", daemon=True)

    def start(self) -> None:
        """Begin to answer.

        Raises:
            QuietcamError: the server cannot start.
        """
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            if isinstance(self._error, QuietcamError | ImportError):
                raise self._error
            raise UsageError(f"The page could not be started. Received: {self._error}.") from self._error

    def close(self) -> None:
        """End all connections and the thread; a thread that hangs in a request is abandoned. May be called twice."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(stop.set)
        process.wait([self._thread], _GRACE)
        self._socket.close()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  raised again by start
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from aiohttp import web

        from edge.web.handler import Handler

        loop = self._loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, __: None)  # broken connections; handlers report their own errors
        self._stop = asyncio.Event()
        runner = web.AppRunner(
            self._application(loop), handle_signals=False, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await runner.setup()
        manager = runner.server
        assert manager is not None

        def connection() -> Guard:
            inner = Handler(
                manager,
                loop=loop,
                logger=_QUIET,
                access_log=_QUIET,
                keepalive_timeout=self._limits.request_seconds,
                lingering_time=1.0,
                auto_decompress=False,  # no honest client compresses a request of this size
            )
            return Guard(inner, self._limits)

        server = await loop.create_server(connection, sock=self._socket, backlog=_ACCEPTED_AT_ONCE)
        self._socket.listen(_BACKLOG)  # asyncio has one number for both
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            # A closed server forgets connections that it has accepted and not begun: their sockets would stay open.
            loop.remove_reader(self._socket.fileno())
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
            server.close()
            for guard in tuple(self._limits.open):
                guard.abort()
            await runner.cleanup()
