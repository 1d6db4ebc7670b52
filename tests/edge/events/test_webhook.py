"""A webhook is one POST with the event as JSON; what is wrong with it is said, its path and its password never."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from edge.events.event import Event, Kind
from edge.events.webhook import Webhook
from quietcam.errors import UsageError
from tests.ports import free_ports
from tests.waiting import WAIT

EVENT = Event(Kind.TOO_HOT, "84 °C", 0.0, "heat", True)


class Hook(ThreadingHTTPServer):
    """Answers with ``status`` and keeps what it got."""

    daemon_threads = True
    status = 200

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], Any]] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers.items()), json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(WAIT)


def tell(url: str) -> str | None:
    return Webhook(url, WAIT).tell(EVENT, 1, lambda: False)


def test_it_is_a_post_of_the_event(hook: Hook) -> None:
    assert tell(f"http://me%40home:p%3Ass@{hook.at}/api/webhook/tops3cret?a=1") is None
    ((path, headers, body),) = hook.got
    assert path == "/api/webhook/tops3cret?a=1"
    assert body == EVENT.report(1)
    assert headers["Host"] == hook.at
    assert headers["Content-Type"] == "application/json"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"me@home:p:ss"


@pytest.mark.parametrize(
    ("status", "expected"), [(404, "it answered 404"), (302, "it answered 302, which is not followed")]
)
def test_an_answer_that_will_not_change_is_a_failure(hook: Hook, status: int, expected: str) -> None:
    hook.status = status
    assert tell(f"http://{hook.at}/") == expected


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_answer_that_may_change_is_tried_again(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(OSError, match=f"it answered {status}"):
        tell(f"http://{hook.at}/")


def test_nobody_is_there() -> None:
    with pytest.raises(OSError, match="refused"):
        tell(f"http://127.0.0.1:{free_ports(1)[0]}/")


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n", b"x" * 9000])
def test_what_speaks_no_http_is_an_error(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match=r"it gave no answer of HTTP|reset"):
            tell(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join(WAIT)


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(TimeoutError):
        Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/", 0.05).tell(EVENT, 0, lambda: False)


def test_a_server_without_tls_gets_no_https() -> None:
    with Hook() as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(OSError, match="SSL"):
            tell(f"https://{server.at}/")
        thread.join(WAIT)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:tops3cret@home.lan/api/webhook/tops3cret", "https://home.lan"),
        ("http://[::1]:8123/x", "http://[::1]:8123"),
        ("HTTPS://home.lan:443", "https://home.lan"),
    ],
)
def test_only_scheme_and_host_are_shown(url: str, name: str) -> None:
    assert Webhook(url).name == name


@pytest.mark.parametrize(
    "url",
    ["https://", "http:///x", "https://home:99999/tops3cret", "https://home/tops 3cret", "http://hö me/", "http:x"],
)
def test_what_is_no_webhook_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="A webhook of `on_event` is") as told:
        Webhook(url)
    assert "tops" not in str(told.value)
