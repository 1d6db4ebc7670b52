"""Webhook: an event as JSON in a POST request to a URL of the user's."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from edge.cameras.network.lookup import connect
from edge.events.event import Event
from quietcam.errors import UsageError, one_line

__all__ = ["Webhook"]

_LIMIT = 10.0  # seconds for one request, from the look-up of the host to the first line of the answer
_PORTS = {"http": 80, "https": 443}
_LINE = 4096  # bytes of the answer's first line
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")
_AGAIN = frozenset({408, 425, 429})  # and 500 to 599


class Webhook:
    """One request for each event. Nothing of the answer is read but its status. A redirect is not followed.

    Args:
        url: http or https. A user and a password before the host become Basic authorization.
        limit: seconds.

    Attributes:
        name: what messages show: scheme and host, since the path often is a secret.

    Raises:
        UsageError: it is no such URL.
    """

    attempts = 3

    def __init__(self, url: str, limit: float = _LIMIT) -> None:
        parts = _split(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        shown_host = f"[{host}]" if ":" in host else host
        self.name = f"{parts.scheme}://{shown_host}" + (f":{port}" if port != _PORTS[parts.scheme] else "")
        self._host, self._port, self._limit = host, port, limit
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"POST {target} HTTP/1.1",
            f"Host: {self.name.partition('://')[2]}",
            "User-Agent: quietcam",
            "Content-Type: application/json",
            "Connection: close",
        ]
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
        self._head = "\r\n".join(lines)

    def tell(self, event: Event, left_out: int, stopped: Callable[[], bool]) -> str | None:  # noqa: ARG002
        """Send it. Why it failed, or None.

        Raises:
            OSError: another attempt may succeed.
        """
        body = event.json(left_out).encode()
        request = f"{self._head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        end = time.monotonic() + self._limit
        connection = connect(self._host, self._port, self._limit)
        try:
            if self._tls is not None:
                try:
                    connection = self._tls.wrap_socket(connection, server_hostname=self._host)
                except ssl.SSLCertVerificationError as error:
                    return f"its certificate is not trusted: {one_line(error)}"
            connection.sendall(request)
            status = _status(connection, end)
        finally:
            connection.close()
        if 200 <= status < 300:
            return None
        if status in _AGAIN or status >= 500:
            raise OSError(f"it answered {status}")
        return f"it answered {status}" + (", which is not followed" if 300 <= status < 400 else "")


def _status(connection: socket.socket, end: float) -> int:
    """The status of the answer, which must come before ``end``.

    Raises:
        OSError: it does not come, or is no answer of HTTP.
    """
    answer = b""
    while b"\n" not in answer and len(answer) < _LINE:
        left = end - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("it answered too slowly")
        connection.settimeout(left)
        piece = connection.recv(_LINE)
        if not piece:
            break
        answer += piece
    found = _STATUS.match(answer)
    if found is None:
        raise OSError("it gave no answer of HTTP")
    return int(found[1])


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except (ValueError, UnicodeError):
        valid = False
    if not valid or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(
            "A webhook of `on_event` is https://HOST/… or http://HOST/…, in ASCII, with % codes for other characters. "
            f"Received: a URL of {len(url)} characters that is none. Remedy: check it."
        )
    return parts
