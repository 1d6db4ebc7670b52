"""The page's server: after any bytes, in any pieces, it answers the owner and nothing is left behind."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import logging
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from edge.sinks.web import WebOptions
from edge.web.access import Access
from fuzz.mutate import mutate_bytes, odd_text, odd_value, spelled
from fuzz.trials import Trials
from quietcam.terminal.log import log
from tests.edge.web.served_page import served_page

__all__ = ["run"]

_TOKEN = "correct horse battery"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_FRAME = np.zeros((8, 8, 3), np.uint8)
_PATIENCE = 0.02  # seconds to wait for an answer: later answers arrive during the next trial
_OWNER_SECONDS = 30.0
_SETTLED_EVERY = 200  # trials between two checks that nothing of them is left
_MOST_MEBIBYTES = 96  # of memory that may be held beyond that held after the first trials
_GUESSING = re.compile(r"Too many wrong tokens from 127\.0\.0\.1: ")


class Piece(NamedTuple):
    """Bytes to send on the connection of this number; b"" closes that direction. Then whether answers are read."""

    connection: int
    content: bytes
    reads: bool


def run(trials: Trials) -> None:
    with _page() as page:
        for trial in trials:
            pieces = _pieces(trial.random, page.cookie)
            trial.keep("pieces.txt", "\n".join(map(repr, pieces)))
            page.try_out(pieces)
            page.check()
            if trials.done % _SETTLED_EVERY == _SETTLED_EVERY - 1:
                page.settle()


class _Page:
    """The sink ``web``, fed all the time, and a list of its errors."""

    def __init__(self, port: int) -> None:
        self.port = port
        access = Access(_TOKEN, self.port)
        self.cookie = f"{access.cookie_name}={access.cookie}"
        self.wrong: list[str] = []
        self._first: tuple[int, float] | None = None

    def try_out(self, pieces: list[Piece]) -> None:
        with contextlib.ExitStack() as stack:
            connections: dict[int, socket.socket] = {}
            for piece in pieces:
                if piece.connection not in connections:
                    connections[piece.connection] = stack.enter_context(
                        socket.create_connection(("127.0.0.1", self.port), timeout=_OWNER_SECONDS)
                    )
                connection = connections[piece.connection]
                with contextlib.suppress(OSError):  # refused in the middle of it
                    if piece.content:
                        connection.sendall(piece.content)
                    else:
                        connection.shutdown(socket.SHUT_WR)
                if piece.reads:
                    self._read(connection)
            for connection in connections.values():
                self._read(connection)

    def check(self) -> None:
        """Check that the owner is answered, and that there were no errors."""
        for path in ("/status.json", "/metrics"):
            asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_OWNER_SECONDS)
            with contextlib.closing(asked):
                asked.request("GET", path, headers={"Cookie": self.cookie})
                status = asked.getresponse().status
            assert status == 200, f"the owner gets {status} for {path}"
        assert not self.wrong, self.wrong

    def settle(self) -> None:
        """Check that nothing is left of earlier trials."""
        end = time.monotonic() + _OWNER_SECONDS
        first = self._first = self._first or (_descriptors() + 2, _mebibytes())
        while _descriptors() > first[0]:
            assert time.monotonic() < end, f"{_descriptors()} descriptors, after {first[0]}"
            time.sleep(0.05)
        assert _mebibytes() <= first[1] + _MOST_MEBIBYTES, f"{_mebibytes():.0f} MiB, after {first[1]:.0f}"

    def _read(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        answer = b""
        with contextlib.suppress(OSError):
            while len(answer) < 1 << 20 and (more := connection.recv(1 << 16)):
                answer += more
        for status in map(int, _STATUS.findall(answer)):
            assert status < 500 or status == 503, f"an answer of {status}"


@contextlib.contextmanager
def _page() -> Iterator[_Page]:
    with served_page(WebOptions.of("127.0.0.1:0", _TOKEN)) as served:
        page = _Page(served.port)
        said, heard = _Said(page.wrong), _Heard(page.wrong)
        log.addHandler(said)
        logging.getLogger("quietcam.web").addHandler(heard)
        assert served.sink._server is not None
        loop = served.sink._server._loop
        assert loop is not None
        loop.call_soon_threadsafe(loop.set_exception_handler, lambda _, context: page.wrong.append(str(context)))
        served.keep_feeding(_FRAME, _FRAME, pause=0.02)
        try:
            yield page
        finally:
            logging.getLogger("quietcam.web").removeHandler(heard)
            log.removeHandler(said)


class _Said(logging.Handler):
    """Notes all that the page logs, except for lines about clients that guess."""

    def __init__(self, wrong: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._wrong = wrong

    def emit(self, record: logging.LogRecord) -> None:
        if not _GUESSING.match(record.getMessage()):
            self._wrong.append(record.getMessage())


class _Heard(logging.Handler):
    """Notes errors that aiohttp did not expect."""

    def __init__(self, wrong: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._wrong = wrong

    def emit(self, record: logging.LogRecord) -> None:
        if "Unhandled" in record.getMessage():
            self._wrong.append(f"{record.getMessage()}: {record.exc_info}")


_METHODS = (
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "PUT",
    "CONNECT",
    "DELETE",
    "get",
    "PRI",
    "",
)
_PATHS = (
    *("/", "/page.js", "/stream.mjpg?view=both", "/snapshot.jpg", "/snapshot.png?download", "/status.json", "/healthz"),
    *(
        "/metrics",
        "/control",
        "/control",
        "/login",
        "/login",
        "*",
        "//",
        "/../x",
        "/%00",
        "/%ff",
        "/?token=%ff",
        "?",
        "",
    ),
    *("http://127.0.0.1/", "http://evil.example/", "127.0.0.1:443", "/?token=" + "x" * 300, "/" + "y" * 9000, "/#/x"),
)
_LIKELY = (
    ("POST", "/login", "application/x-www-form-urlencoded"),
    ("POST", "/control", "application/json"),
    ("POST", "/control", "application/json; charset=utf-8"),
    ("GET", "/status.json?token=wrong", "text/plain"),
)
_HEADERS = (
    *("Host: evil.example", "Host: 127.0.0.1", "Host: [::1]:80", "Host:", "Host: \xff", "Connection: keep-alive"),
    *("Connection: close", "Connection: upgrade", "Upgrade: websocket", "Upgrade: h2c", "Sec-WebSocket-Version: 13"),
    *("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Expect: 100-continue", "Expect: nonsense", "Range: bytes=0-1"),
    *("Range: bytes=9-1,,x", "Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999999999999"),
    *("Content-Length: 5, 5", "Content-Length: +5", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked"),
    *("Transfer-Encoding: identity", "Transfer-Encoding:  chunked, chunked", "Content-Encoding: gzip"),
    *("Content-Encoding: br", "Content-Encoding: \xff", "Content-Type: application/json"),
    *("Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=b"),
    *("Content-Type: text/plain; charset=nonsense", "Content-Type: ;;=", "Authorization: Bearer \xff\xfe"),
    *("Authorization: Basic eDp5", "Authorization:", "Origin: http://[", "Origin: null", "Origin: http://127.0.0.1"),
    *("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Cookie: =;;=\xff", "Cookie: a=b; a=" + "c" * 4000),
    *(
        "Accept: text/html",
        "Accept: \x00",
        "X: " + "z" * 9000,
        ": x",
        " folded: x",
        "no colon",
        "X-Forwarded-For: 1.2.3.4",
    ),
    *("Te: trailers", "Trailer: X", "If-None-Match: *", "If-Modified-Since: nonsense", "Keep-Alive: timeout=-1"),
)


def _pieces(random: Random, cookie: str) -> list[Piece]:
    """Bytes that one to four connections send, in pieces and in turns."""
    queues = [_sent(random, cookie) for _ in range(random.choice((1, 1, 1, 2, 4)))]
    pieces = []
    while any(queues):
        number = random.choice([number for number, queue in enumerate(queues) if queue])
        pieces.append(Piece(number, queues[number].pop(0), random.random() < 0.1))
    return pieces


def _sent(random: Random, cookie: str) -> list[bytes]:
    """The pieces of one connection: a pipeline of requests, damaged or not, cut anywhere, half closed or not."""
    whole = b"".join(_request(random, cookie) for _ in range(random.choice((1, 1, 1, 2, 3, 40))))
    if random.random() < 0.4:
        whole = mutate_bytes(random, whole)
    cuts = sorted(random.randrange(len(whole) + 1) for _ in range(random.choice((0, 0, 1, 3, 20))))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    return [*pieces, *([b""] if random.random() < 0.3 else [])]


def _request(random: Random, cookie: str) -> bytes:
    if random.random() < 0.03:
        return random.randbytes(random.choice((1, 20, 3000)))
    version = random.choice(("HTTP/1.1",) * 6 + ("HTTP/1.0", "HTTP/9.9", ""))
    likely = random.choice(_LIKELY) if random.random() < 0.6 else None
    method, path = likely[:2] if likely else (random.choice(_METHODS), random.choice(_PATHS))
    lines = [f"{method} {path} {version}", *([f"Content-Type: {likely[2]}"] if likely else [])]
    lines += ["Host: 127.0.0.1"] if random.random() < 0.95 else []
    lines += [f"Cookie: {cookie}"] if random.random() < 0.5 else []
    lines += random.choices(_HEADERS, k=random.choice((0, 1, 2, 5, 200)) if random.random() < 0.5 else 0)
    lines += [f"{odd_text(random)}: {odd_text(random)}"] if random.random() < 0.1 else []
    body = _body(random)
    match random.randrange(4):
        case 0:
            lines.append(f"Content-Length: {len(body)}")
        case 1:
            lines.append("Transfer-Encoding: chunked")
            body = _chunks(random, body)
        case 2:
            lines.append(f"Content-Length: {len(body) + random.choice((1, 100, -1))}")
        case _:
            body = body if random.random() < 0.1 else b""
    end = random.choice(("\r\n",) * 9 + ("\n",))
    return end.join([*lines, "", ""]).encode("latin-1", "replace") + body


def _body(random: Random) -> bytes:
    match random.randrange(6):
        case 0:
            return spelled(random, {"strength": odd_value(random)}).encode("utf-8", "replace")
        case 1:
            return b"token=" + odd_text(random).encode("utf-8", "replace") + b"&x=y" * random.choice((0, 1, 900))
        case 2:
            return mutate_bytes(random, gzip.compress(b"token=x" * random.choice((1, 5000))))
        case 3:
            return b"--b\r\nContent-Disposition: form-data; name=token\r\n\r\nx\r\n--b--"
        case 4:
            return random.randbytes(random.choice((0, 1, 5000)))
        case _:
            return b"[" * 4000


def _chunks(random: Random, body: bytes) -> bytes:
    size = random.choice((1, 7, 4096))
    parts = [body[start : start + size] for start in range(0, min(len(body), 200 * size), size)]
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(part), random.choice((b"", b"", b";x=y")), part) for part in parts)
    return framed + random.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"zz\r\n", b"-1\r\n", b""))


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / (1 << 20)
