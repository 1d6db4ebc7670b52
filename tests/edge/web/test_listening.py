"""The listening socket: how many connections it keeps for the page, and which ones it does not pass to the page."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from edge.web.server import bind
from quietcam.errors import UsageError
from tests.waiting import WAIT

MANY = 600  # more than the 512 that were kept once


def most_kept() -> int:
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
    except OSError:
        return 0


@pytest.mark.skipif(most_kept() < MANY, reason="this kernel keeps fewer")
def test_hundreds_of_clients_at_once_need_not_ask_again() -> None:
    """A client without room waits for a second or more, and here forever, since nobody accepts a connection."""
    with contextlib.closing(bind("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:
        for _ in range(MANY):
            connection = stack.enter_context(socket.create_connection(listening.getsockname(), timeout=WAIT))
            connection.sendall(b"GET")


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux alone can do so")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_that_says_nothing_does_not_reach_the_page(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.web.server._SILENT_SECONDS", 3600)
    try:
        listening = bind(host, 0)
    except UsageError:
        pytest.skip(f"no {host} here")
    with contextlib.closing(listening), contextlib.ExitStack() as stack:
        address = listening.getsockname()[:2]
        silent, speaks = (stack.enter_context(socket.create_connection(address, timeout=WAIT)) for _ in range(2))
        for comes in (speaks, silent):
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):
                listening.accept()
            comes.sendall(b"GET")
            listening.settimeout(WAIT)
            taken, peer = listening.accept()
            taken.close()
            assert peer[:2] == comes.getsockname()[:2]
