"""Host names: a name server that never answers delays nobody for long, and its threads do not pile up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.cameras.network import lookup, reach
from edge.cameras.network.answer import ask
from edge.cameras.network.http import look
from edge.cameras.network.lookup import connect, look_up
from edge.cameras.network.stream import stream_camera
from edge.cameras.network.url import CameraUrl
from quietcam.errors import DataError
from tests.waiting import WAIT, until

SHORT = 0.2  # seconds of a deadline that the tests reach


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were looked up. Names that begin with "hang" get no answer before the test ends."""
    names: list[str] = []
    over = threading.Event()
    real = socket.getaddrinfo

    def hang(host: str, *arguments: Any, **options: Any) -> Any:
        names.append(host)
        if host.startswith("hang"):
            over.wait(WAIT)
            raise socket.gaierror("no such name")
        return real("127.0.0.1" if host == "camera" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield names
    over.set()
    until(lambda: not lookup._under_way)


def test_a_look_up_that_hangs_ends_in_time_and_is_not_begun_again(asked: list[str]) -> None:
    for _ in range(3):
        with pytest.raises(TimeoutError, match="name server"):
            look_up("hang", 80, SHORT)
    assert asked == ["hang"]
    assert look_up("camera", 80, WAIT)[0][4] == ("127.0.0.1", 80)


def test_no_more_than_a_few_hang_at_once(asked: list[str]) -> None:
    for number in range(20):
        with pytest.raises(TimeoutError):
            look_up(f"hang{number}", 80, 0.01)
    assert len(asked) <= lookup._MOST
    assert look_up("127.0.0.1", 80, 0.01)  # which needs no name server


def test_a_name_that_cannot_be_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match=r"\S"):
        look_up("a" * 300, 80, WAIT)


def test_a_connection_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with connect("localhost", port, WAIT) as made:
            assert 0.0 < (made.gettimeout() or 0.0) <= WAIT
    with pytest.raises(OSError, match="refused"):
        connect("127.0.0.1", port, WAIT)


def _ask(url: CameraUrl) -> None:
    ask(url, SHORT)


def _open(url: CameraUrl) -> None:
    stream_camera(url).open()


@pytest.mark.parametrize(("scheme", "begin"), [("http", _ask), ("https", _ask), ("rtsp", _open)])
@pytest.mark.usefixtures("asked")
def test_no_camera_hangs_with_its_name_server(
    scheme: str, begin: Callable[[CameraUrl], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_LOOKING_UP", SHORT)
    monkeypatch.setattr("edge.cameras.network.answer._CONNECTING", SHORT)
    for opening in ("opencv_stream.open_capture", "av_stream.open_input"):
        monkeypatch.setattr(
            f"edge.cameras.network.{opening}",
            lambda *_, **__: pytest.fail("FFmpeg would look it up without a deadline"),
            raising=False,
        )
    began = time.monotonic()
    with pytest.raises((OSError, DataError), match="name server"):
        begin(CameraUrl.parse(f"{scheme}://hang.local/x"))
    assert look(CameraUrl.parse("http://hang.local/x")) is None
    assert time.monotonic() - began < WAIT / 2
