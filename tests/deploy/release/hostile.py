"""A static web server that may lie: it gives a release's files, or what a test puts in their place."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["Server", "serving"]

Lie = Callable[[str, BaseHTTPRequestHandler], bool]
"""Answers a request for a path by itself, and returns True; or returns False."""


class Server:
    """A server of ``folder`` on this machine.

    Args:
        tls: for HTTPS.

    Attributes:
        lie: is asked first.
        asked: paths of all requests.
        gone: set when the server ends, for lies that wait.
    """

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        self.folder = folder
        self.lie: Lie = lambda _, __: False
        self.asked: list[str] = []
        self.gone = threading.Event()
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                ours.asked.append(path)
                with contextlib.suppress(ConnectionError, TimeoutError):
                    if not ours.lie(path, self):
                        ours.give(path, self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def give(self, path: str, handler: BaseHTTPRequestHandler) -> None:
        """The file of ``path``, from the byte on that is asked for."""
        file = self.folder / path
        if not file.is_file():
            handler.send_error(404)
            return
        self.send(file.read_bytes(), handler)

    def send(self, content: bytes, handler: BaseHTTPRequestHandler) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        handler.send_response(206 if found else 200)
        if found:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start:])

    def close(self) -> None:
        self.gone.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextlib.contextmanager
def serving(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(folder, tls)
    try:
        yield server
    finally:
        server.close()
