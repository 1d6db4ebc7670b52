"""A page of the sink ``web`` without a run, for tests, the lockout benchmark and the fuzz target ``http``."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from edge.network.treatment import Treatment
from edge.run.frame import Frame
from edge.sinks.spool.shelf import Shelf
from edge.sinks.web import WebOptions, WebSink
from edge.web.guard import Limits
from quietcam.image import Image
from tests.waiting import WAIT

__all__ = ["DENOISED", "MODEL", "Controls", "Served", "noise", "served_page"]

DENOISED = Treatment(model="demo_640x480_int8")
MODEL = {"name": "demo_640x480_int8", "recipe": "int8", "psnr": 32.1, "licence": "Apache-2.0"}


class Controls:
    """A fake run whose strength can be set."""

    strength: float | None = 1.0
    shelves: Sequence[Shelf] = ()
    models: Sequence[str] = ()
    loading = False
    chosen: str | None = None

    def set_model(self, name: str) -> None:
        self.chosen, self.loading = name, True

    def set_strength(self, strength: float) -> None:
        self.strength = strength

    def describe(self) -> dict[str, Any]:
        return {"source": "numbers", "model": MODEL}


class Served:
    """The sink ``web`` and whoever feeds it. Frame n is flat: n in the noisy picture, 255 - n in the denoised one."""

    def __init__(self, sink: WebSink, controls: Controls) -> None:
        self.sink, self.controls = sink, controls
        self.fed = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self.sink.address.rsplit(":", 1)[1].rstrip("/"))

    @property
    def encoded(self) -> int:
        return int(self.sink.report()["encoded"])

    @property
    def viewers(self) -> int:
        return int(self.sink.report()["viewers"])

    def feed(
        self, noisy: Image | None = None, denoised: Image | None = None, treatment: Treatment | None = DENOISED
    ) -> None:
        level = self.fed % 256
        noisy = np.full((48, 64, 3), level, np.uint8) if noisy is None else noisy
        denoised = 255 - noisy if denoised is None else denoised
        self.sink.write(Frame(noisy, time.monotonic(), self.fed, treatment=treatment), denoised)
        self.fed += 1

    def report(self, **more: Any) -> None:
        """The report that the pipeline gives about once a second."""
        stages = ("capture", "wait", "denoise", "sink", "end_to_end")
        latency = {"count": self.fed, "mean": 3.0, "p50": 3.0, "p95": 4.0, "p99": 5.0, "max": 6.0}
        self.sink.status(
            {
                "frames": self.fed,
                "dropped": 0,
                "fps_now": 30.0,
                "latency_ms": dict.fromkeys(stages, latency),
                "reload": {"count": 0, "error": None},
                "camera": {"state": "live", "since": 1.0, "reopened": 2, "reason": None},
                "sinks": [{"name": "web", "frames": self.fed, "dropped": 0}],
                "work": DENOISED.report(),
                "worked": {DENOISED.kind: self.fed},
                "noise_sigma": 7.5,
                "device": None,
                "ladder": {"step": "full", "reason": None},
                "temperature_c": 51.0,
                "peak_memory_mib": 80.0,
            }
            | more
        )

    def keep_feeding(
        self,
        noisy: Image | None = None,
        denoised: Image | None = None,
        pause: float = 0.01,
        treatment: Treatment | None = DENOISED,
    ) -> None:
        """Feed frames in a thread until the end."""

        def run() -> None:
            while not self._stop.wait(pause):
                self.feed(noisy, denoised, treatment)
                if self.fed % 20 == 1:
                    self.report()

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def stop_feeding(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._stop.clear()

    def get(
        self,
        path: str,
        method: str = "GET",
        body: str | bytes | None = None,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> tuple[int, Any, bytes]:
        """Status, headers, body of the answer that ``source`` gets, an address of this machine."""
        host = "::1" if ":" in source else "127.0.0.1"
        connection = http.client.HTTPConnection(host, self.port, timeout=WAIT, source_address=(source, 0))
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def connect(self, receive: int | None = None, source: str = "127.0.0.1") -> socket.socket:
        connection = socket.socket()
        connection.bind((source, 0))
        if receive is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        connection.settimeout(WAIT)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def watch(self, view: str = "denoised", receive: int | None = None, source: str = "127.0.0.1") -> Stream:
        """A viewer that reads when a test asks it to; it is in the hub when this returns."""
        return Stream(self.connect(receive, source), f"/stream.mjpg?view={view}")


class Stream:
    """A viewer of the MJPEG stream."""

    def __init__(self, connection: socket.socket, path: str) -> None:
        self.connection = connection
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self._file = connection.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers = self._head()
        if self.status == 200:
            assert self._chunk_line() == b"--frame\r\n"

    def next(self) -> tuple[int, Image]:
        """The next frame's number and its picture, uint8 RGB."""
        head = self._head(self._chunk_line)
        content = self._read(int(head["content-length"]))
        assert self._chunk_line() == b"\r\n"
        assert self._chunk_line() == b"--frame\r\n"
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return int(head["x-frame"]), picture[..., ::-1].astype(np.uint8, copy=False)

    def close(self) -> None:
        self._file.close()
        self.connection.close()

    def _head(self, line: Callable[[], bytes] | None = None) -> dict[str, str]:
        read = line or self._file.readline
        head = {}
        while (text := read().decode().strip()) != "":
            name, _, value = text.partition(":")
            head[name.lower()] = value.strip()
        return head

    # The stream comes in HTTP chunks, whose borders mean nothing.
    _left = b""

    def _chunk_line(self) -> bytes:
        while b"\n" not in self._left:
            self._more()
        line, _, self._left = self._left.partition(b"\n")
        return line + b"\n"

    def _read(self, size: int) -> bytes:
        while len(self._left) < size:
            self._more()
        content, self._left = self._left[:size], self._left[size:]
        return content

    def _more(self) -> None:
        if self.headers.get("transfer-encoding") != "chunked":
            piece = self._file.read1(1 << 16)
        else:
            size = int(self._file.readline() or b"0", 16)
            piece = self._file.read(size)
            self._file.readline()
        if not piece:
            raise EOFError
        self._left += piece


@contextlib.contextmanager
def served_page(options: WebOptions, limits: Limits | None = None) -> Iterator[Served]:
    """The page that ``options`` ask for, open, without any frame; ``keep_feeding`` sends some."""
    controls = Controls()
    sink = WebSink(options, controls, limits=limits)
    sink.open()
    served = Served(sink, controls)
    try:
        yield served
    finally:
        served.stop_feeding()
        sink.close()


def noise(seed: int, height: int = 240, width: int = 320) -> Image:
    """A frame that no codec can compress well."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
