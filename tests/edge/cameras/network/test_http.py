"""HTTP cameras as firmwares build them: one picture a request, odd boundaries, files, passwords."""

from __future__ import annotations

import base64
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import open_camera
from edge.cameras.base import Camera
from edge.cameras.network import answer, http
from edge.cameras.network.http import HttpCamera
from edge.cameras.network.mjpeg import JpegSplitter
from edge.cameras.network.url import CameraUrl
from edge.cameras.supervised import SupervisedCamera
from edge.cameras.video import VideoCamera
from quietcam.errors import DataError, UsageError
from tests.edge.cameras.test_cameras import write_clip
from tests.waiting import WAIT

PASSWORD = "p#s/w@rd:1"


def jpeg(number: int, quality: int = 90) -> bytes:
    """Noise around a red, a different picture for each number."""
    noise = np.random.default_rng(number).integers(0, 60, (48, 64, 3), np.uint8)
    noise[..., 2] += 150
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decode(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


HEAD = b"Content-Type: image/jpeg\r\n"
PARTS = {
    "plain": (b"--frame\r\n" + HEAD + b"Content-Length: %d\r\n\r\n", b"\r\n"),
    "nolength": (b"--frame\r\n" + HEAD + b"\r\n", b"\r\n"),
    "late": (HEAD + b"Content-Length: %d\r\n\r\n", b"\r\n--frame\r\n"),
    "lf": (b"--frame\n" + HEAD.replace(b"\r", b"") + b"\n", b"\n"),
    "tight": (b"--frame\r\n" + HEAD + b"\r\n", b""),
    "none": (b"", b""),
    "wrong": (b"--frame\r\n" + HEAD + b"Content-Length: 7\r\n\r\n", b"\r\n"),
}
BOUNDARIES = {"dashes": "--frame", "quoted": '"frame"', "missing": None}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        del words

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):
            self._answer(self.path.split("?")[0].strip("/"))

    def _answer(self, kind: str) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked += 1
        if kind.startswith("locked"):
            wanted = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="cam"')
                self.end_headers()
                return
        if kind.endswith("snap.jpg"):
            self._whole("image/jpeg", jpeg(server.asked))
        elif kind in server.files:
            self._whole(*server.files[kind])
        elif kind == "stalled":
            self._stalled(*server.files["film"])
        elif kind in PARTS or kind in BOUNDARIES or kind == "locked":
            self._parts(kind)
        else:
            self.send_error(404)

    def _whole(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stalled(self, kind: str, content: bytes) -> None:
        """Half of a file, and then nothing until the test ends."""
        server = self.server
        assert isinstance(server, Server)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        server.over.wait(WAIT)

    def _parts(self, kind: str) -> None:
        boundary = BOUNDARIES.get(kind, "frame")
        self.send_response(200)
        told = "" if boundary is None else f"; boundary={boundary}"
        self.send_header("Content-Type", f"multipart/x-mixed-replace{told}")
        self.end_headers()
        before, after = PARTS.get(kind, PARTS["plain"])
        for number in itertools.count():
            content = jpeg(number)
            self.wfile.write((before % len(content) if b"%d" in before else before) + content + after)
            time.sleep(0.005)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = 0
        self.over = threading.Event()
        self.files: dict[str, tuple[str, bytes]] = {}

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.server_port}/{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


def first(camera: Camera, count: int) -> list[np.ndarray]:
    with camera:
        return [np.array(frame.image) for frame in itertools.islice(camera, count)]


@pytest.mark.parametrize("kind", [*PARTS, *BOUNDARIES])
def test_pictures_come_whatever_stands_between_them(server: Server, kind: str) -> None:
    images = first(HttpCamera(CameraUrl.parse(server.url(kind))), 5)
    for number, image in enumerate(images):
        np.testing.assert_array_equal(image, decode(jpeg(number)))


def test_a_picture_a_request_is_a_camera(server: Server) -> None:
    """Every frame is a new request, at the wanted rate, and the camera is never lost in between."""
    camera = open_camera(server.url("snap.jpg"), fps=200.0)
    assert isinstance(camera, SupervisedCamera)
    images = first(camera, 8)
    assert camera.state.reopened == 0
    assert len({image.tobytes() for image in images}) == 8
    assert server.asked >= 8
    with pytest.raises(UsageError, match="sets its size and rate"):
        open_camera(server.url("snap.jpg"), size=(64, 48))


def test_a_rate_is_no_fault_of_a_camera_that_is_away(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """The run may wait for it; once it turns out to be a stream, the log says that the camera sets the rate."""
    camera = open_camera(server.url("snap.jpg").replace("127.0.0.1", "127.0.0.2"), fps=2.0)
    assert isinstance(camera, SupervisedCamera)
    with pytest.raises(UsageError, match="sets its size and rate"):
        open_camera(server.url("plain"), fps=2.0)
    assert len(first(HttpCamera(CameraUrl.parse(server.url("plain")), 2.0), 2)) == 2
    assert "its camera sets the rate" in caplog.text


@pytest.mark.parametrize("path", ["locked", "locked/snap.jpg"])
def test_a_password_of_any_characters_opens_it_and_a_wrong_one_is_told(server: Server, path: str) -> None:
    assert len(first(HttpCamera(CameraUrl.parse(server.url(path, f"admin:{PASSWORD}@"))), 3)) == 3
    with pytest.raises(DataError, match=r"answers 401.*user and password") as caught:
        first(HttpCamera(CameraUrl.parse(server.url(path, "admin:else-where@"))), 1)
    assert "else-where" not in str(caught.value)


@pytest.mark.parametrize("kind", ["video/x-msvideo", "application/octet-stream"])
def test_a_file_ends_and_gives_every_frame(server: Server, tmp_path: Path, kind: str) -> None:
    truth = write_clip(tmp_path / "clip.avi", 12)
    server.files["clip.avi"] = (kind, (tmp_path / "clip.avi").read_bytes())
    camera = open_camera(server.url("clip.avi"))
    assert isinstance(camera, VideoCamera)
    assert not camera.live
    np.testing.assert_array_equal(first(camera, 99), truth)
    with pytest.raises(DataError, match="which is a file"):  # the run waited for it, and would play it forever
        first(HttpCamera(CameraUrl.parse(server.url("clip.avi"))), 1)


def test_a_file_whose_server_falls_silent_is_not_taken_for_a_whole_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV would end it as if it were complete, after half a minute in which nothing could stop it."""
    for module in ("video", "pyav", "opencv"):
        monkeypatch.setattr(f"quietcam.data.video.{module}.STALLED", 0.5)
    write_clip(tmp_path / "film.avi", 30)
    server.files["film"] = ("video/x-msvideo", (tmp_path / "film.avi").read_bytes())
    seen = []
    with (
        pytest.raises(DataError, match=r"sent nothing for 0\.5 s"),  # when opened, where its first half is read at once
        VideoCamera(CameraUrl.parse(server.url("stalled"))) as camera,
    ):
        seen.extend(frame.index for frame in camera)
    assert len(seen) < 30


def test_a_slow_stream_is_not_lost_between_its_pictures(server: Server) -> None:
    """It is silent after three times the gap between pictures; after 20 s, the longest gap, if the gap is unknown."""
    now = iter([100.0, 104.0, 104.5, 134.5])
    with HttpCamera(CameraUrl.parse(server.url("plain")), clock=lambda: next(now)) as camera:
        frames = iter(camera)
        silences = [(next(frames), camera.silence)[1] for _ in range(4)]
    assert silences == pytest.approx([20.0, 12.0, 10.8, 20.0])


def test_an_answer_may_take_longer_than_a_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old camera needs seconds for a picture, but any machine that is on accepts a connection immediately."""
    seen: list[float | None] = []

    class Watched(answer._Patient):
        def connect(self) -> None:
            super().connect()
            seen.append(self.timeout)
            seen.append(self.sock.gettimeout())

    monkeypatch.setattr(answer, "_CONNECTING", WAIT)
    monkeypatch.setattr(http, "_ANSWERING", 2 * WAIT)
    monkeypatch.setattr(answer, "_Patient", Watched)
    assert len(first(HttpCamera(CameraUrl.parse(server.url("plain"))), 2)) == 2
    connecting, answering = seen
    assert connecting == WAIT
    assert answering is not None
    assert WAIT < answering <= 3 * WAIT


def test_what_answers_without_pictures_is_told(server: Server) -> None:
    server.files["page"] = ("text/html", b"<html>no camera</html>")
    server.files["broken"] = ("image/jpeg", b"no picture")
    for path, said in (("page", "answers without video"), ("nothing", "answers 404"), ("broken", "decoded")):
        with pytest.raises(DataError, match=said):
            first(HttpCamera(CameraUrl.parse(server.url(path))), 1)
    gone = server.url("snap.jpg").replace("127.0.0.1", "127.0.0.2")
    server.server_close()
    with pytest.raises(DataError, match=r"no answer from \S+ port \d+ "):
        first(HttpCamera(CameraUrl.parse(gone)), 1)


class TestJpegs:
    def test_pictures_are_found_in_bytes_that_come_in_any_pieces(self) -> None:
        pictures = [jpeg(number, 30 + 10 * number) for number in range(6)]
        stream = b"".join(b"\r\n--x\r\nA: b\r\n\r\n" + picture for picture in pictures) + b"\r\n"
        for size in (1, 7, 333, len(stream)):
            splitter = JpegSplitter()
            found = [each for at in range(0, len(stream), size) for each in splitter.feed(stream[at : at + size])]
            assert found == pictures

    def test_a_thumbnail_is_a_part_of_its_picture(self) -> None:
        inside, outside = jpeg(1), jpeg(2)
        whole = outside[:2] + b"\xff\xe1" + (len(inside) + 2).to_bytes(2, "big") + inside + outside[2:]
        assert JpegSplitter().feed(whole + jpeg(3)) == [whole, jpeg(3)]

    def test_one_that_is_cut_short_is_left_out(self) -> None:
        assert JpegSplitter().feed(jpeg(1)[:-200] + jpeg(2)) == [jpeg(2)]
        assert JpegSplitter().feed(b"\xff\xd8\xff" + bytes(50) + jpeg(2)) == [jpeg(2)]

    def test_progressive_ones_and_those_with_restarts_are_whole(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
        options = ([cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])
        pictures = [cv2.imencode(".jpg", image, each)[1].tobytes() for each in options]
        assert JpegSplitter().feed(b"".join(pictures)) == pictures

    def test_what_is_no_picture_does_not_fill_the_memory(self) -> None:
        splitter = JpegSplitter()
        for _ in range(100):
            assert splitter.feed(bytes(1 << 16)) == []
        assert len(splitter._bytes) < 100
