"""A page on a free port that tests feed with frames, and read with sockets and http.client only."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from edge.sinks.web import _OTHER_CONNECTIONS, WebOptions
from edge.web.guard import Limits
from tests.edge.web.served_page import Served, served_page
from tests.leaks import descriptors
from tests.waiting import WAIT, until


@contextlib.contextmanager
def serving(
    token: str | None = None,
    limits: Limits | None = None,
    still_wanted: float = WAIT,
    listen: str = "127.0.0.1:0",
    disk_seconds: float = WAIT,
    **options: Any,
) -> Iterator[Served]:
    """The page with none of the product's own limits of time, which a busy machine would reach, but those given."""
    settings = WebOptions.of(listen, token, **options)
    limits = limits or Limits(settings.viewers + _OTHER_CONNECTIONS, request_seconds=WAIT, stall_seconds=WAIT)
    seconds = {
        "attempts._BACK_SECONDS": 1e9,
        "app._FIRST_FRAME_SECONDS": WAIT,
        "exchange._BODY_SECONDS": WAIT,
        "exchange._SEND_SECONDS": WAIT,
        "hub._STILL_WANTED": still_wanted,
        "panels.clip._FIRST_SECONDS": WAIT,
        "panels.stored._DISK_SECONDS": disk_seconds,
        "state.STUCK_SECONDS": WAIT,
    }
    with contextlib.ExitStack() as stack:
        for name, value in seconds.items():
            stack.enter_context(mock.patch(f"edge.web.{name}", value))
        yield stack.enter_context(served_page(settings, limits))


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as page:
        yield page


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No thread and no descriptor stays behind."""
    threads, files = threading.active_count(), descriptors()
    yield
    until(lambda: threading.active_count() <= threads, "a thread is left")
    until(lambda: descriptors() <= files, f"descriptors are left: {os.listdir('/proc/self/fd')}")  # noqa: PTH208
