"""The page's use of aiohttp beyond the documented interface, and the upper limit of its version.

A failure here is no bug by itself: aiohttp has moved. It says what to look at.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from aiohttp import web

from edge.web.handler import Handler

ROOT = Path(__file__).parents[3]
READ = (3, 14)
"""The newest release series whose ``aiohttp/web_protocol.py`` was read against ``edge/web/handler.py``."""

CHECK = (
    "Look at aiohttp/web_protocol.py (RequestHandler: __init__, data_received, start, handle_error) and web_server.py "
    "(Server.__call__, request_handler, request_factory). What edge/web/{{handler,guard,server}}.py rely on: {}. "
    "Then run tests/edge/web and the fuzz target http, and raise READ here and the ceiling in pyproject.toml."
)


def ceiling() -> tuple[int, ...]:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    found = {line for lines in extras.values() for line in lines if line.startswith("aiohttp")}
    assert len(found) == 1, f"every extra must ask for the same aiohttp: {found}"
    limit = re.search(r"<(\d+)\.(\d+)", found.pop())
    assert limit, "aiohttp has no ceiling"
    return tuple(map(int, limit.groups()))


def test_the_ceiling_is_the_series_after_the_one_that_was_read() -> None:
    assert ceiling() == (READ[0], READ[1] + 1), CHECK.format("all of it")


def test_this_release_is_of_a_series_that_was_read() -> None:
    release = tuple(map(int, metadata.version("aiohttp").split(".")[:2]))
    assert release <= READ, CHECK.format(f"all of it, since aiohttp is now {release}")


def test_a_handler_can_be_made_as_we_make_it() -> None:
    """``web.Server`` would make a handler itself, but not of our class."""
    given = {
        "loop", "logger", "access_log", "keepalive_timeout", "lingering_time", "auto_decompress",
    }  # fmt: skip
    known = inspect.signature(web.RequestHandler.__init__).parameters
    assert given <= set(known), CHECK.format(f"the arguments {sorted(given)}")
    assert list(known)[:2] == ["self", "manager"], CHECK.format("the server as the first argument")


def test_what_is_no_request_comes_to_handle_error() -> None:
    ours, theirs = (inspect.signature(each.handle_error) for each in (Handler, web.RequestHandler))
    assert list(ours.parameters) == list(theirs.parameters), CHECK.format("handle_error(request, status, exc, message)")
    assert [each.default for each in ours.parameters.values()] == [each.default for each in theirs.parameters.values()]


def test_the_guard_can_stand_before_it() -> None:
    """It calls only methods that every protocol has."""
    assert issubclass(web.RequestHandler, asyncio.Protocol), CHECK.format("a RequestHandler is an asyncio.Protocol")
    source = inspect.getsource(web.RequestHandler)
    assert "set_protocol" not in source, CHECK.format("the transport's protocol stays the guard")


def test_a_body_that_cannot_be_read_raises_what_is_caught() -> None:
    assert issubclass(web.RequestPayloadError, Exception), CHECK.format("broken chunks raise RequestPayloadError")


@pytest.mark.parametrize("name", ["server", "setup", "cleanup"])
def test_the_runner_has_what_the_server_uses(name: str) -> None:
    assert hasattr(web.AppRunner, name), CHECK.format(f"AppRunner.{name}")
