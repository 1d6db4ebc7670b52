"""Publishing: what arrives at real servers, servers that go away, and servers that refuse."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks import open_sink
from edge.sinks.publish.server import Server
from edge.sinks.publish.sink import PublishSink
from edge.sinks.targets import checked_targets
from quietcam.errors import DataError, MissingExtraError, UsageError
from quietcam.image import Image
from tests.edge.sinks.publish.servers import Watcher, rtmp_server, rtsp_server, silent_server
from tests.edge.sinks.video.films import av, read
from tests.ports import free_ports
from tests.waiting import WAIT, until

RED = np.full((48, 64, 3), (200, 30, 40), np.uint8)
BLUE = np.full((32, 96, 3), (20, 40, 210), np.uint8)


KILLS = int(os.environ.get("QUIETCAM_KILLS", "3"))
"""How often a server is killed; `make kills` sets it."""


def arrived(watcher: Watcher) -> bool:
    return len(watcher.frames) > 3


def resident_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


class Publisher:
    """A sink that gets frames all the time, as a camera's does, in a thread of its own."""

    def __init__(self, url: str, image: Image = RED) -> None:
        self.sink = open_sink(url, 25.0, live=True)
        assert isinstance(self.sink, PublishSink)
        self.sink.trouble._backoff._last = 0.1
        self.image, self.error = image, None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for index in itertools.count():
                if self._over.wait(0.01):
                    return
                self.sink.write(Frame(self.image, time.monotonic() - began, index), self.image)
        except Exception as error:  # noqa: BLE001  the test looks at it
            self.error = error

    def __enter__(self) -> PublishSink:
        self.sink.open()
        self._thread.start()
        assert isinstance(self.sink, PublishSink)
        return self.sink

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.sink.stop()
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        self.sink.close()


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl: apt install openssl")
    path = tmp_path / "certificate.pem"
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*asked, "-keyout", str(path), "-out", str(tmp_path / "c.pem")], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "c.pem").read_text())
    return path


class TestRtsp:
    def test_frames_arrive_in_their_colors_and_a_new_size_goes_on(self, port: int) -> None:
        with rtsp_server(port) as watcher:
            publisher = Publisher(f"rtsp://127.0.0.1:{port}/live")
            with publisher as sink:
                until(lambda: len(watcher.frames) > 5)
                publisher.image = BLUE
                until(lambda: watcher.frames[-1][:2] == (96, 32))
                until(lambda: sink.report()["waiting"] is None)
            report = sink.report()
        first, last = watcher.frames[0], watcher.frames[-1]
        np.testing.assert_allclose(first, (64, 48, 200, 30, 40), atol=8)
        np.testing.assert_allclose(last, (96, 32, 20, 40, 210), atol=8)
        assert report["connections"] >= 2
        assert report["encoder"] == "libx264"
        assert publisher.error is None

    def test_a_server_that_is_killed_again_and_again_costs_the_frames_meanwhile(
        self, port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        publisher = Publisher(f"rtsp://someone:s3cret-pw@127.0.0.1:{port}/live")
        with publisher as sink:
            memory = [0]
            for _ in range(KILLS):
                until(lambda: sink.report()["waiting"] is not None)
                with rtsp_server(port) as watcher:
                    until(partial(arrived, watcher))
                    assert sink.report()["waiting"] is None
                    memory.append(resident_mib())
            until(lambda: sink.report()["waiting"] is not None)
        assert publisher.error is None
        report = sink.report()
        assert report["sent"] + report["missed"] == sink.frames
        assert report["connections"] >= KILLS
        assert memory[-1] < memory[min(2, KILLS)] + 16
        assert "publishing again" in caplog.text
        assert "s3cret" not in caplog.text + str(report) + sink.name

    def test_credentials_are_used_and_wrong_ones_are_an_error(self, port: int) -> None:
        with rtsp_server(port, "door:p#s/w rd".replace(" ", "")) as watcher:
            with Publisher(f"rtsp://door:p%23s%2Fwrd@127.0.0.1:{port}/live"):
                until(lambda: len(watcher.frames) > 3)
            sink = open_sink(f"rtsp://door:wrong-pw@127.0.0.1:{port}/live", live=True)
            with pytest.raises(DataError, match="401 Unauthorized") as caught:
                sink.write(Frame(RED, 0.0, 0), RED)
            assert "wrong-pw" not in str(caught.value)
            assert "Remedy: check user, password and path" in str(caught.value)
            sink.close()
            sink = open_sink(f"rtsp://door:p%23s%2Fwrd@127.0.0.1:{port}/other", live=True)
            with pytest.raises(DataError, match="404 Not Found"):
                sink.write(Frame(RED, 0.0, 0), RED)
            sink.close()

    def test_it_is_sent_by_tls(self, port: int, certificate: Path) -> None:
        server = rtsp_server(port, "door:pw", certificate)
        with server as watcher, Publisher(f"rtsps://door:pw@127.0.0.1:{port}/live"):
            until(lambda: len(watcher.frames) > 3)

    def test_a_server_that_never_answers_holds_nothing_up(self) -> None:
        with silent_server() as port, Publisher(f"rtsp://127.0.0.1:{port}/live") as sink:
            until(lambda: sink.frames > 0)
            time.sleep(0.2)  # it waits for an answer now
        # leaving the block stopped the sink, and its thread has ended


def test_rtmp_arrives_with_its_times(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # This server takes one connection, so nobody may look whether it listens.
    monkeypatch.setattr("edge.sinks.publish.connection.connect", lambda *_: io.BytesIO())
    film = tmp_path / "film.mkv"
    with rtmp_server(port, film) as server:
        times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.3, 40))
        sink = open_sink(f"rtmp://127.0.0.1:{port}/live/key", 25.0, live=True)
        assert isinstance(sink, PublishSink)
        sink.trouble._backoff._last = 0.1
        with sink:
            sent = 0
            end = time.monotonic() + WAIT
            while sent < len(times) and time.monotonic() < end:
                sink.write(Frame(RED, float(times[sent]), sent), RED)
                sent = sink.sent
        server.wait(WAIT)
    told, shown = read(film)
    np.testing.assert_allclose(np.diff(told), np.diff(times), atol=0.002)
    np.testing.assert_allclose(shown[0][0, 0], (200, 30, 40), atol=4)


class TestFiles:
    def test_a_file_plays_at_its_speed_and_a_server_that_is_away_is_an_error(self, port: int) -> None:
        sink = open_sink(f"rtsp://127.0.0.1:{port}/live", 25.0)
        assert isinstance(sink, PublishSink)
        began = time.monotonic()  # and so does the file's time, with its first frame
        with pytest.raises(DataError, match="Connection refused"):
            sink.write(Frame(RED, 0.0, 0), RED)
        with rtsp_server(port) as watcher, sink:
            for index in range(12):
                sink.write(Frame(RED, index / 10, index), RED)
            assert time.monotonic() - began >= 1.1
            until(lambda: len(watcher.frames) >= 12)


class TestUrls:
    def test_their_secrets_are_not_shown(self) -> None:
        for text, name in (
            ("rtsp://me:pa/ss@10.0.0.5:8554/door", "rtsp://***@10.0.0.5:8554/door"),
            ("rtmp://10.0.0.5/live/abcd-efgh-0123", "rtmp://10.0.0.5/live/***"),
            ("rtmps://10.0.0.5/live2/abcd-efgh-0123?x=y", "rtmps://10.0.0.5/live2/***?***"),
            ("srt://10.0.0.5:8890?streamid=publish:door:me:secret", "srt://10.0.0.5:8890?***"),
        ):
            server = Server.parse(text)
            assert server.name == name
            assert "secret" not in repr(server) + server.name
            assert "abcd" not in repr(server) + server.name

    @pytest.mark.parametrize("text", ["rtsp:/door", "rtsp://", "rtmp://host:99999/a", "rtsp:door"])
    def test_wrong_ones_are_answered_with_examples(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"rtsp://10\.0\.0\.5:8554/door"):
            open_sink(text)

    def test_two_places_of_one_server_are_two_sinks(self) -> None:
        sinks = ["rtsp://10.0.0.5/a", "rtsp://10.0.0.5/b"]
        assert checked_targets("rtsp://10.0.0.5/c", sinks) == sinks
        with pytest.raises(UsageError, match="different place"):
            checked_targets(None, [sinks[0], sinks[0]])

    def test_a_protocol_that_ffmpeg_lacks_is_named(self) -> None:
        sink = open_sink("srt://127.0.0.1:9?streamid=publish:a", live=True)
        try:
            av.open("srt://127.0.0.1:9?timeout=1", "w", format="mpegts").close()
        except av.error.ProtocolNotFoundError:
            with pytest.raises(DataError, match="without srt"):
                sink.write(Frame(RED, 0.0, 0), RED)
        sink.close()

    def test_without_pyav_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'quietcam\[video\]'"):
            open_sink("rtsp://10.0.0.5/a")
