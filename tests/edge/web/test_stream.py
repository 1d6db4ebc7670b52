"""The MJPEG stream: its frames, that each is encoded once, and that no viewer can harm the others."""

from __future__ import annotations

import contextlib
import socket

import cv2
import numpy as np
import pytest

from edge.web.guard import Limits
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import Served, Stream, noise
from tests.leaks import descriptors
from tests.waiting import WAIT, until


def test_the_frames_come_in_order_and_are_the_denoised_ones(served: Served) -> None:
    stream = served.watch()
    assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
    for number in range(5):
        served.feed()
        index, picture = stream.next()
        assert (index, picture.shape) == (number, (48, 64, 3))
        assert np.abs(picture.astype(int) - (255 - number)).max() <= 1
    stream.close()


def test_both_halves_are_of_the_same_frame(served: Served) -> None:
    stream = served.watch("both")
    served.keep_feeding(pause=0.002)
    for _ in range(10):
        index, picture = stream.next()
        assert picture.shape == (48, 128, 3)
        left, right = picture[8:40, 8:56].mean(), picture[8:40, 72:120].mean()
        assert left == pytest.approx(index % 256, abs=1.5)
        assert left + right == pytest.approx(255, abs=2)
    stream.close()


def test_opencv_can_watch_it(served: Served) -> None:
    """Through ffmpeg's own reader, as other programs do."""
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    served.keep_feeding(red, red)
    capture = cv2.VideoCapture(f"http://127.0.0.1:{served.port}/stream.mjpg", cv2.CAP_FFMPEG)
    frames = [capture.read() for _ in range(3)]
    capture.release()
    assert all(good and np.abs(frame.astype(int) - [0, 0, 200]).max() <= 6 for good, frame in frames)


def test_colors_are_not_swapped(served: Served) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    stream = served.watch()
    served.feed(red, red)
    _, picture = stream.next()
    assert picture[..., 0].mean() > 190
    assert picture[..., 2].mean() < 10
    stream.close()


def test_a_gray_frame_and_one_of_another_size_can_be_watched(served: Served) -> None:
    stream = served.watch("both")
    served.feed(np.full((32, 48, 1), 80, np.uint8), np.full((32, 48, 3), 80, np.uint8))
    assert stream.next()[1].shape == (32, 96, 3)
    served.feed(np.full((64, 80, 3), 80, np.uint8), np.full((32, 40, 3), 80, np.uint8))
    _, picture = stream.next()
    assert picture.shape == (64, 160, 3)
    assert np.abs(picture.astype(int) - 80).max() <= 1
    stream.close()


def test_a_frame_is_encoded_once_however_many_watch(served: Served) -> None:
    streams = [served.watch() for _ in range(4)]
    for number in range(6):
        served.feed()
        assert [stream.next()[0] for stream in streams] == [number] * 4
    assert served.encoded == 6
    for stream in streams:
        stream.close()


def test_frames_that_nobody_watches_are_neither_copied_nor_encoded(served: Served) -> None:
    for _ in range(20):
        served.feed()
    assert served.encoded == 0
    assert served.sink._hub is not None
    assert served.sink._hub._pending is None
    stream = served.watch()
    served.feed()
    assert stream.next()[0] == 20
    stream.close()
    until(lambda: served.viewers == 0)
    for _ in range(20):
        served.feed()
    assert served.encoded == 1


def test_a_viewer_who_never_reads_costs_nothing_and_is_dropped() -> None:
    with serving(limits=Limits(request_seconds=WAIT, stall_seconds=1.5), still_wanted=0.5) as served:
        stuck = served.watch(receive=4096)
        picture = noise(1)
        served.keep_feeding(picture, picture)
        until(lambda: served.encoded > 0)
        # Once the network is full of its frames nothing more is encoded, though frames come on.
        for _ in range(60):
            encoded, fed = served.encoded, served.fed
            until(lambda fed=fed: served.fed > fed + 70)
            if served.encoded == encoded:
                break
        else:
            pytest.fail("frames are encoded for a viewer who never reads")
        until(lambda: served.viewers == 0, "the stuck viewer is never dropped")
        stuck.close()


def test_a_stuck_viewer_does_not_stop_another() -> None:
    with serving() as served:
        stuck, quick = served.watch(receive=4096), served.watch()
        picture = noise(2)
        served.keep_feeding(picture, picture)
        numbers = [quick.next()[0] for _ in range(60)]
        assert numbers == sorted(set(numbers))
        for stream in (stuck, quick):
            stream.close()


def test_a_slow_viewer_gets_the_newest_frame(served: Served) -> None:
    slow = served.watch(receive=8192)
    picture = noise(3)
    seen = []
    for _ in range(6):
        for _ in range(40):
            served.feed(picture, picture)
            until(lambda: served.sink._hub is not None and served.sink._hub._pending is None)
        seen.append(slow.next()[0])
    # What the network holds is old; beyond that it is the newest that comes.
    assert seen[-1] > 100, seen
    slow.close()


def test_too_many_viewers_are_told_so_until_one_leaves() -> None:
    with serving(viewers=2) as served:
        served.keep_feeding()
        first, second = served.watch(), served.watch()
        refused = served.watch()
        assert refused.status == 503
        assert refused.headers["retry-after"]
        refused.close()
        first.close()
        until(lambda: served.viewers == 1)
        third = served.watch()
        assert third.status == 200
        third.next()
        for stream in (second, third):
            stream.close()


def test_two_hundred_at_once_leave_it_alive(served: Served) -> None:
    served.keep_feeding()
    before = descriptors()
    crowd = [served.connect() for _ in range(200)]
    for number, connection in enumerate(crowd):
        request = b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" if number % 2 else b"GET /status.json HTT"
        try:
            connection.sendall(request)
        except OSError:
            continue  # refused already
    answered = [_first_line(connection) for connection in crowd[1::2]]
    assert sum(line.startswith(b"HTTP/1.1 200") for line in answered) <= 8
    assert all(line == b"" or b" 200 " in line or b" 503 " in line for line in answered)
    assert served.get("/healthz")[0] == 200
    for connection in crowd:
        connection.close()
    until(lambda: served.viewers == 0)
    until(lambda: descriptors() <= before)
    stream = served.watch()
    stream.next()
    stream.close()


def _first_line(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096).split(b"\r\n")[0]
    except OSError:  # made room for somebody else
        return b""


def test_snapshots_that_nobody_reads_do_not_pile_up() -> None:
    """Each holds its picture until it is read, and there are four of them: a fifth waits until one leaves."""
    with serving() as served, contextlib.ExitStack() as stack:
        served.keep_feeding(noise(1, 720, 1280), noise(2, 720, 1280))
        stuck = [stack.enter_context(served.connect(receive=4096)) for _ in range(4)]
        for connection in stuck:
            connection.sendall(b"GET /snapshot.png HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        for connection in stuck:
            assert connection.recv(12) == b"HTTP/1.1 200"
        status, _, body = served.get("/snapshot.png")
        assert (status, body) == (503, b"Too many snapshots at once.\n")
        stuck[0].close()
        until(lambda: served.get("/snapshot.png")[0] == 200)


@pytest.mark.parametrize("alone", [False, True])
def test_half_a_request_is_not_waited_for(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp ends it without an error; if a release of aiohttp does wait, the guard ends it."""
    if alone:
        monkeypatch.setattr("aiohttp.web.RequestHandler._process_keepalive", lambda _: None)
    with serving(limits=Limits(request_seconds=0.3)) as served:
        halves = [served.connect() for _ in range(3)]
        said = (b"", b"GET / HTTP/1.1\r\nHost: 127", b"POST /control HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        for connection, half in zip(halves, said, strict=True):
            with connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(half)
                assert connection.recv(100) == b""


def test_an_idle_connection_makes_room_for_one_that_asks() -> None:
    with serving(limits=Limits(connections=4, request_seconds=WAIT)) as served:
        idle = [served.connect() for _ in range(4)]
        for connection in idle:
            connection.sendall(b"G")
        until(lambda: served.sink._limits is not None and len(served.sink._limits.places) == 4)
        assert served.get("/healthz")[0] == 200
        assert len(idle) == 4
        for connection in idle:
            connection.close()


def test_when_all_connections_work_a_new_one_is_told_so() -> None:
    with serving(limits=Limits(connections=2, request_seconds=WAIT)) as served:
        streams = [served.watch() for _ in range(2)]
        status, _, body = served.get("/healthz")
        assert (status, body) == (503, b"Too many connections.\n")
        for stream in streams:
            stream.close()


def test_a_viewer_who_is_there_at_the_end_is_sent_away(served: Served) -> None:
    stream = served.watch()
    served.sink.close()
    with pytest.raises((EOFError, ConnectionResetError)):
        Stream.next(stream)
    stream.close()


def test_it_can_be_opened_again(served: Served) -> None:
    served.sink.close()
    served.sink.close()
    served.sink.open()
    stream = served.watch()
    served.feed()
    assert stream.next()[0] == 0
    stream.close()
