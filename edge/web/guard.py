"""Guard: wraps each connection, gives it a place, and limits the time of requests and answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import cast

from edge.web.client import Client, client_of
from edge.web.places import Place, Places

__all__ = ["Guard", "Limits", "guard_of"]

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: 22\r\n\r\nToo many connections.\n"
)
_OPTIONS = (
    # Bytes that the kernel may keep for a slow reader: they are old when they arrive.
    ("TCP_NOTSENT_LOWAT", 64 << 10),
    # A phone that left is noticed within half a minute, even while there are no frames to send.
    ("TCP_KEEPIDLE", 15),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
)


class Limits:
    """The limits that all connections of a server share.

    Args:
        connections: most at the same time; :class:`edge.web.places.Places` decides which one ends when all are
            taken. A new one gets a 503 only while every other one serves a client that may keep it.
        request_seconds: time in which the head of a request must arrive, counted from the connection's start or
            from the last answer.
        stall_seconds: time in which the network must take the bytes that were written.
    """

    def __init__(self, connections: int = 64, request_seconds: float = 10.0, stall_seconds: float = 10.0) -> None:
        self.places = Places(connections, spared=connections // 2)
        self.request_seconds = request_seconds
        self.stall_seconds = stall_seconds
        self.open: set[Guard] = set()


class Guard(asyncio.Protocol):
    """Stands between a connection and the HTTP protocol, ``inner``.

    The write buffer's high-water mark is 0: writing pauses as soon as the network does not take everything, and
    ``drained`` waits until it has.

    Attributes:
        client: the client at the other end; known once the connection is made.
        showed_token: the last request on this connection had the right token in its ``Authorization``.
    """

    def __init__(self, inner: asyncio.Protocol, limits: Limits) -> None:
        self.client: Client = client_of(None)
        self.showed_token = False
        self._inner = inner
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._place: Place | None = None  # None: refused
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._drained.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client = client_of(peer[0] if isinstance(peer, tuple) else None)
        self._place = self._limits.places.force(self.client, self.abort)
        if self._place is None:
            self._transport.write(_BUSY)
            self._transport.close()
            return
        self._limits.open.add(self)
        self._transport.set_write_buffer_limits(high=0)
        connection = self._transport.get_extra_info("socket")
        for name, value in _OPTIONS:
            if connection is not None and hasattr(socket, name):
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self.rest()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._place is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._place is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        self._drained.clear()
        loop = asyncio.get_running_loop()
        self._stall = loop.call_later(self._limits.stall_seconds, self.abort)
        if self._place is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._drained.set()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self._place is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timers()
        self._drained.set()
        self._limits.open.discard(self)
        if self._place is not None:
            self._limits.places.free(self._place)
            self._inner.connection_lost(exc)

    def work(self) -> None:
        """The head of a request has arrived."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._use(idle=False)

    def rest(self) -> None:
        """The answer has been sent: the next request must arrive in time."""
        if self not in self._limits.open:
            return
        self.work()
        self._use(idle=True)
        self._deadline = asyncio.get_running_loop().call_later(self._limits.request_seconds, self.abort)

    def keep(self, kept: bool) -> None:
        """Set whether other clients cannot get this connection's place while a request on it is answered."""
        if self._place is not None:
            self._limits.places.keep(self._place, kept)

    async def drained(self) -> None:
        """Wait until the network has taken all bytes that were written, or the connection is lost."""
        await self._drained.wait()
        self._use(idle=False)

    def abort(self) -> None:
        """End the connection without waiting for the other side."""
        self._forget_timers()
        if self._transport is not None:
            self._transport.abort()

    def _use(self, idle: bool) -> None:
        if self._place is not None:
            self._place.idle = idle
            self._limits.places.used(self._place)

    def _forget_timers(self) -> None:
        for timer in (self._deadline, self._stall):
            if timer is not None:
                timer.cancel()
        self._deadline = self._stall = None


def guard_of(transport: asyncio.BaseTransport | None) -> Guard | None:
    """The guard of a request's connection; None once that is closed."""
    protocol = transport.get_protocol() if isinstance(transport, asyncio.Transport) else None
    return protocol if isinstance(protocol, Guard) else None
