"""Real servers to publish to, and a server that is up but takes nothing."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("rtsp_server.py")
INSTALL = (
    "no GStreamer RTSP server: apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-libav"
)


class Watcher:
    """The frames that a server printed: its width, its height, and the first pixel of each."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.frames: list[tuple[int, ...]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # it was killed, and its output closed
            for line in self.process.stdout:
                if line.startswith("frame "):
                    self.frames.append(tuple(map(int, line.split()[1:])))


@contextlib.contextmanager
def rtsp_server(port: int, login: str = "-", certificate: Path | str = "-") -> Iterator[Watcher]:
    """A GStreamer server that takes a stream at ``/live``."""
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("no system's Python, which would have GStreamer's bindings")
    command = [python, str(SERVER), str(port), login, str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            if server.stdout.readline() != "up\n":
                pytest.skip(INSTALL)
            yield Watcher(server)
        finally:
            server.kill()


@contextlib.contextmanager
def rtmp_server(port: int, film: Path) -> Iterator[subprocess.Popen[str]]:
    """ffmpeg, which takes one stream at ``/live/key`` and writes it to ``film``."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg: apt install ffmpeg")
    listen = ["-listen", "1", "-i", f"rtmp://127.0.0.1:{port}/live/key"]
    command = ["ffmpeg", "-v", "error", "-y", *listen, "-c", "copy", "-f", "matroska", str(film)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True) as server:
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A server that takes connections and never says or reads anything: its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
