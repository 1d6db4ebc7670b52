"""A fake network camera on the loopback: an MJPEG stream over HTTP that tests can unplug."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class MjpegCamera(ThreadingHTTPServer):
    """Serves ``/stream``. The pictures are noise around a red that no other channel has.

    Attributes:
        size: (width, height) of the next pictures.
        frozen: send the same picture again and again.
        silent: send nothing, and keep the line open.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.size = (64, 48)
        self.frozen = self.silent = False
        self.plug = threading.Event()
        self.plug.set()
        self._lines: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self.server_port}/stream"

    def unplug(self) -> None:
        """Cut all connections and accept no new one."""
        self.plug.clear()
        for line in list(self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        self._lines.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:  # type: ignore[no-untyped-def]
        self._lines.discard(request)
        super().shutdown_request(request)

    def picture(self, seed: int) -> bytes:
        width, height = self.size
        noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3), np.uint8)
        noise[..., 2] += 150  # OpenCV's red
        return cv2.imencode(".jpg", noise)[1].tobytes()


class _Handler(BaseHTTPRequestHandler):
    server: MjpegCamera

    def log_message(self, *words: object) -> None:
        del words

    def do_GET(self) -> None:
        if not self.server.plug.is_set():
            return
        with contextlib.suppress(OSError):
            if self.path != "/stream":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            number = 0
            while self.server.plug.is_set():
                number += not self.server.frozen
                if not self.server.silent:
                    picture = self.server.picture(number)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
                    self.wfile.write(head + picture + b"\r\n")
                time.sleep(0.005)


@contextlib.contextmanager
def mjpeg_camera() -> Iterator[MjpegCamera]:
    with MjpegCamera() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.unplug()
            server.shutdown()
            thread.join()
