"""Streams that PyAV reads, from ffmpeg as the sender; and what is said where they cannot be read."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge.cameras import open_camera
from edge.cameras.network.av_stream import AvStream
from edge.cameras.network.stream import stream_camera
from edge.cameras.network.url import CameraUrl
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.cameras.video import VideoCamera
from quietcam.data.video import av_hardware
from quietcam.data.video.av_hardware import HardwareDecoder
from quietcam.errors import DataError, MissingExtraError
from tests.edge.cameras.watched import until_frame
from tests.ports import free_ports
from tests.waiting import WAIT

pytest.importorskip("av", reason="needs the extra 'video'")

RULES = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.05, longest_pause=0.1, proven=0.0)
COLORS = ["-f", "lavfi", "-i", "color=red:s=64x48:r=25"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5", "-pix_fmt", "yuv420p"]


@contextlib.contextmanager
def sender(*where: str) -> Iterator[None]:
    """ffmpeg sends, and begins again when it has lost its listener."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg: apt-get install ffmpeg")
    over = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def send() -> None:
        while not over.is_set():
            words = ["ffmpeg", "-loglevel", "quiet", "-re", *COLORS, *H264, *where]
            with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
                running.append(process)
                if over.is_set():
                    process.kill()
                process.wait()
            over.wait(0.1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        for process in running:
            process.kill()
        thread.join()


@pytest.mark.parametrize("scheme", ["udp", "tcp", "rtmp"])
def test_a_stream_gives_frames_at_the_times_of_its_camera(scheme: str) -> None:
    (port,) = free_ports(1)
    url = f"{scheme}://127.0.0.1:{port}" + ("/live/a" if scheme == "rtmp" else "")
    where = {
        "udp": ["-f", "mpegts", f"{url}?pkt_size=1316"],
        "tcp": ["-f", "mpegts", f"{url}?listen=1"],
        "rtmp": ["-f", "flv", "-listen", "1", url],
    }[scheme]
    watched = SupervisedCamera(lambda: stream_camera(CameraUrl.parse(url)), RULES, allow_still=True)
    watched.wait = True
    with sender(*where), watched as camera:
        frames = iter(camera)
        until_frame(camera, frames, lambda _: True)
        stamps = []
        while len(stamps) < 10:
            frame = next(frames)
            stamps.append(frame.timestamp)
        red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
        assert red > 230 > 30 > max(green, blue)
        assert frame.image.shape == (48, 64, 3)
        assert (np.diff(stamps) > 0).all()


@contextlib.contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that talks like this to everybody who connects, one after another: its port."""

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                with line, contextlib.suppress(OSError):
                    talk(line)

    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def answering(answer: bytes) -> AbstractContextManager[int]:
    """A server that gives one answer to whatever it is asked: its port."""

    def talk(line: socket.socket) -> None:
        line.settimeout(WAIT)
        while asked := line.recv(4096):
            number = next((word for word in asked.split(b"\r\n") if word.startswith(b"CSeq")), b"CSeq: 1")
            line.sendall(answer.replace(b"CSeq", number))

    return serving(talk)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'RTSP/1.0 401 Unauthorized\r\nCSeq\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n', "refuses"),
        (b"RTSP/1.0 404 Not Found\r\nCSeq\r\n\r\n", "answers without video"),
    ],
)
def test_a_refusal_is_told_without_the_password(answer: bytes, said: str) -> None:
    with answering(answer) as port, pytest.raises(DataError, match=said) as caught:
        AvStream(CameraUrl.parse(f"rtsp://me:hidden@127.0.0.1:{port}/live?key=hidden")).open()
    assert "hidden" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "user and the password" in str(caught.value)


def test_a_protocol_that_ffmpeg_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV's wheels have no SRT."""
    import av

    def lacks(*_: object, **__: object) -> None:
        raise av.error.ProtocolNotFoundError(-1330794744, "Protocol not found", "srt://secret")

    monkeypatch.setattr("edge.cameras.network.av_stream.open_input", lacks)
    with pytest.raises(DataError, match=r"without srt.*MediaMTX") as caught:
        AvStream(CameraUrl.parse("srt://127.0.0.1:9000?passphrase=hidden")).open()
    assert "hidden" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["rtmp://h/a", "srt://h:1", "udp://:1", "tcp://h:1"])
def test_what_opencv_does_not_read_needs_the_extra(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.cameras.network.stream.has_av", lambda: False)
    with pytest.raises(MissingExtraError, match=r"extra 'video'.*quietcam\[video\]"):
        open_camera(url)


def test_a_file_of_unknown_size_over_http_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg: apt-get install ffmpeg")
    words = ["ffmpeg", "-loglevel", "error", *COLORS, "-t", "1", *H264, "-movflags", "+faststart", str(path)]
    subprocess.run(words, check=True)
    content = path.read_bytes()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n\r\n"
    with whole_answers(head + content) as port:
        camera = open_camera(f"http://127.0.0.1:{port}/a")
        assert isinstance(camera, VideoCamera)
        with camera:
            assert len(list(camera)) == 25


def whole_answers(answer: bytes) -> AbstractContextManager[int]:
    """A server that sends this and hangs up, however often it is asked: its port."""

    def talk(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(answer)

    return serving(talk)


class TestHardware:
    """FFmpeg's own decoder stands in for one in hardware."""

    @pytest.fixture
    def packets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[object, list[object]]]:
        import av

        monkeypatch.setattr(av_hardware, "_failed", set())
        monkeypatch.setattr(av_hardware, "_DEVICES", tmp_path)
        (tmp_path / "video10").touch()
        path = tmp_path / "a.mp4"
        if shutil.which("ffmpeg") is None:
            pytest.skip("needs ffmpeg: apt-get install ffmpeg")
        words = ["ffmpeg", "-loglevel", "error", *COLORS, "-t", "1", *H264, "-f", "mpegts", str(path)]
        subprocess.run(words, check=True)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            yield stream, list(container.demux(stream))

    def test_its_frames_have_the_times_of_their_packets(
        self, packets: tuple, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(av_hardware.DECODERS, "h264", "h264")
        stream, sent = packets
        hardware = HardwareDecoder(stream, "a camera")
        assert hardware.works
        assert "a camera is decoded in hardware (h264)" in caplog.text
        sent = sent[:-1]  # the last one only says that it is the end
        frames = [frame for packet in [*sent, None] for frame in hardware.decode(packet)]
        assert [frame.pts for frame in frames] == [packet.pts for packet in sent]

    @pytest.mark.parametrize("name", ["h264_v4l2m2m", "no_such_decoder"])
    def test_without_it_nothing_is_said(
        self, name: str, packets: tuple, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(av_hardware.DECODERS, "h264", name)
        assert not HardwareDecoder(packets[0], "a camera").works
        assert not caplog.messages

    def test_one_that_gives_nothing_is_left_for_good(
        self, packets: tuple, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(av_hardware.DECODERS, "h264", "h264")
        hardware = HardwareDecoder(packets[0], "a camera")
        hardware._codec = SimpleNamespace(decode=lambda _: [])
        for _ in range(101):
            assert hardware.decode(packets[1][0]) == []
        assert not hardware.works
        assert "from now on the CPU decodes" in caplog.text
        assert not HardwareDecoder(packets[0], "a camera").works
