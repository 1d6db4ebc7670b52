"""Faulty HTTP servers of cameras: they send without end or byte by byte, redirect, or answer what no parser reads."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.client import HTTPException

import cv2
import numpy as np
import pytest

from edge.cameras.network import answer, http
from edge.cameras.network.answer import ask
from edge.cameras.network.http import HttpCamera, Kind, look
from edge.cameras.network.mjpeg import JpegSplitter
from edge.cameras.network.url import CameraUrl
from quietcam.errors import DataError, UsageError
from quietcam.limits import MOST_FRAME_CODED
from tests.waiting import WAIT


@pytest.fixture(autouse=True)
def _opencv_waits_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV is asked what an answer is if it is not HTTP."""
    monkeypatch.setattr("edge.cameras.network.reach.OPENING", 0.5)
    monkeypatch.setattr("edge.cameras.network.reach.READING", 0.5)


Serve = Callable[[Callable[[socket.socket], None]], CameraUrl]
OK = b"HTTP/1.1 200 OK\r\n"
PARTS = OK + b"Content-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n"
SHORT = 0.5  # seconds of the deadlines that the tests reach


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give each connection to a function; returns the URL of the server."""
    servers = []

    def start(handle: Callable[[socket.socket], None]) -> CameraUrl:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                connection.recv(1 << 16)
                handle(connection)

        threading.Thread(target=run, daemon=True).start()
        return CameraUrl.parse(f"http://127.0.0.1:{server.getsockname()[1]}/x")

    yield start
    for server in servers:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def drip(text: bytes) -> Callable[[socket.socket], None]:
    """Send one byte at a time, without end."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(text)
        while True:
            connection.sendall(b"a")
            time.sleep(0.02)

    return handle


def flood(head: bytes, block: bytes) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(block)

    return handle


def once(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 ", OK, OK + b"A: ", b"HTTP/1.1 302 Moved\r\nLocation: /"])
def test_a_head_that_drips_ends(start: bytes, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "_CONNECTING", SHORT)
    began = time.monotonic()
    with pytest.raises((OSError, HTTPException)):
        ask(serve(drip(start)), SHORT)
    assert time.monotonic() - began < WAIT


@pytest.mark.parametrize("kind", [b"image/jpeg", b"multipart/x-mixed-replace", b"application/vnd.apple.mpegurl"])
def test_a_body_that_drips_ends(kind: bytes, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_SLOWEST", SHORT)
    monkeypatch.setattr(http, "_LOOKING", SHORT)
    url = serve(drip(OK + b"Content-Type: " + kind + b"\r\n\r\n\xff\xd8\xff"))
    if b"mpegurl" in kind:
        assert look(url) is Kind.OTHER
        return
    with pytest.raises(DataError, match=r"too long|timed out"):
        HttpCamera(url).open()


ENDLESS = {
    "a picture": (OK + b"Content-Type: image/jpeg\r\n\r\n\xff\xd8\xff", bytes(1 << 16)),
    "a length": (OK + b"Content-Type: image/jpeg\r\nContent-Length: 99999999999\r\n\r\n", bytes(1 << 16)),
    "a chunk of -1": (OK + b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", bytes(1 << 16)),
    "a chunk": (OK + b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", bytes(1 << 16)),
    "chunks": (OK + b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + bytes(4098)),
    "a redirect's body": (b"HTTP/1.1 302 Moved\r\nLocation: /y\r\n\r\n", bytes(1 << 16)),
    "a header line": (OK + b"A: ", b"a" * (1 << 16)),
    "headers": (OK, b"A: b\r\n" * 1000),
    "continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a scan": (PARTS + cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()[:-2], bytes(1 << 16)),
    "segments": (PARTS + b"\xff\xd8\xff", (b"\xfe\xff\xff" + bytes(65533) + b"\xff")),
    "no picture": (PARTS, bytes(1 << 16)),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_takes_bounded_memory(what: str, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_SLOWEST", 4 * SHORT)
    monkeypatch.setattr(http, "_ANSWERING", 4 * SHORT)
    monkeypatch.setattr(answer, "_CONNECTING", 4 * SHORT)
    url = serve(flood(*ENDLESS[what]))
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            HttpCamera(url).open()
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_FRAME_CODED
    finally:
        tracemalloc.stop()


def test_a_thousand_bad_parts_leave_nothing_behind() -> None:
    splitter = JpegSplitter()
    scan = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()[:-2]
    tracemalloc.start()
    try:
        for _ in range(1000):
            splitter.feed(scan + bytes(1 << 12))
        splitter.feed(scan)
        for _ in range(1000):  # and a second one that is as long
            splitter.feed(bytes(1 << 16))
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MOST_FRAME_CODED
    assert left < 2 * MOST_FRAME_CODED


def test_behind_an_endless_part_pictures_are_found_again() -> None:
    splitter = JpegSplitter()
    good = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    assert splitter.feed(good[:-2] + bytes(MOST_FRAME_CODED)) == []
    assert splitter.feed(good) == [good]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 302 Moved\r\nLocation: ftp://127.0.0.1/x\r\n\r\n",
        b"HTTP/1.1 302 Moved\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"HTTP/1.1 302 Moved\r\nLocation: http://[\r\n\r\n",
        b"HTTP/1.1 302 Moved\r\nLocation: /x\r\n\r\n",
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\r\n\r\n",
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest a\r\n\r\n",
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a", nonce="b", algorithm="c"\r\n\r\n',
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\nContent-Type: video/mp4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\nContent-Type: video/mp4\r\n\r\n",
        b"\x16\x03\x01\x02",
        b"",
    ],
)
def test_an_odd_answer_is_no_camera_and_no_surprise(head: bytes, serve: Serve) -> None:
    url = serve(once(head))
    url = CameraUrl.parse(url.bare.replace("http://", "http://user:secret@"))
    assert look(url) in (None, Kind.OTHER)
    with pytest.raises(DataError) as caught:
        HttpCamera(url).open()
    assert "secret" not in str(caught.value)


def test_a_camera_that_moved_is_followed(serve: Serve) -> None:
    picture = cv2.imencode(".jpg", np.full((16, 24, 3), 90, np.uint8))[1].tobytes()
    there = serve(once(OK + b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture + b"x"))
    moved = serve(once(b"HTTP/1.1 302 Moved\r\nLocation: " + there.bare.encode() + b"\r\n\r\n"))
    camera = HttpCamera(moved)
    camera.open()
    assert camera.size == (24, 16)
    camera.close()


@pytest.mark.parametrize(
    "text",
    [
        "http://" + 64 * "a" + "/",
        "http://" + 300 * "a." + "/",
        "http://a..b/",
        "http://h/\udcff",
        "http://h/\0",
        "http://\u202eh/",
        "rtsp://h/" + 3000 * "x",
        "http://u\udcff:p@h/",
    ],
)
def test_a_host_that_no_name_server_can_be_asked_for(text: str) -> None:
    with pytest.raises(UsageError, match="URL of a camera"):
        CameraUrl.parse(text)
