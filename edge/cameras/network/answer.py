"""One HTTP answer of a camera, with limits of time and size that its server cannot exceed."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.request
from typing import Any

from edge.cameras.network.lookup import connect
from edge.cameras.network.url import CameraUrl

__all__ = ["Answer", "ask"]

_CONNECTING = 4.0  # seconds in which a camera must accept a connection
_SLOWEST = 20.0  # seconds of silence
_CHUNK = 1 << 16
_MOST_MOVES = 3  # redirects


class _Timed(io.RawIOBase):
    """Reads a connection until a deadline. A limit on silence would never stop a server that sends byte by byte."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._socket = connection
        self._raw: Any = connection.makefile("rb", buffering=0)
        self.due = time.monotonic() + (connection.gettimeout() or _SLOWEST)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.due - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("it took too long")
        self._socket.settimeout(min(left, _SLOWEST))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class Answer(http.client.HTTPResponse):
    """An answer whose head must arrive within the time that ``ask`` gets; ``within`` sets the time for the rest."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self._timed = _Timed(sock)
        self.fp = io.BufferedReader(self._timed)

    def within(self, seconds: float) -> None:
        """Set a deadline, ``seconds`` from now, for everything that is read."""
        self._timed.due = time.monotonic() + seconds

    def whole(self, most: int, seconds: float) -> bytes:
        """The body.

        Raises:
            OSError: it does not come within ``seconds``, or breaks off.
            HTTPException: it has more than ``most`` bytes, or is cut short.
        """
        self.within(seconds)
        told, parts, count = self.length, [], 0
        # In pieces, since for a chunk of length -1 http.client would read without end.
        while data := self.read1(_CHUNK if told is None else min(_CHUNK, told - count)):
            parts.append(data)
            count += len(data)
            if count > most:
                raise http.client.HTTPException(f"more than {most >> 20} MiB")
        if told is not None and count < told:
            raise http.client.IncompleteRead(b"", told - count)
        return b"".join(parts)


def ask(url: CameraUrl, answering: float) -> Answer:
    """The answer to a GET: its head is read within ``answering`` seconds, its body is not read yet.

    Raises:
        OSError: there is no answer, or the camera refuses (``HTTPError``).
        HTTPException: the answer cannot be understood.
    """
    # Cameras sign their certificates themselves.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    due = time.monotonic() + _CONNECTING + answering
    handlers: list[urllib.request.BaseHandler] = [_Plain(due), _Secure(due, context), _Moves()]
    if url.user is not None:
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, url.bare, url.user, url.password or "")
        handlers += [_Digest(known), _Basic(known)]
    handlers += [urllib.request.ProxyHandler(), urllib.request.HTTPDefaultErrorHandler()]
    handlers.append(urllib.request.HTTPErrorProcessor())
    opener = urllib.request.OpenerDirector()  # the default opener also reads files and FTP
    for each in handlers:
        opener.add_handler(each)
    try:
        request = urllib.request.Request(url.bare, headers={"User-Agent": "quietcam", "Accept": "*/*"})
        answer = opener.open(request, timeout=answering)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        # An authentication that urllib does not know or cannot parse, or a URL that it cannot request.
        raise http.client.HTTPException(str(error)) from None
    if not isinstance(answer, Answer):
        raise http.client.HTTPException("no answer")
    return answer


class _Patient(http.client.HTTPConnection):
    """A connection to a slow camera: it may answer later than it accepts; one deadline also covers all redirects."""

    response_class = Answer

    def __init__(self, host: str, *, due: float, **options: Any) -> None:
        super().__init__(host, **options)
        self._due = due
        self._create_connection = _connect  # http.client's own looks names up without a deadline

    def connect(self) -> None:
        self.timeout = min(self._left(), _CONNECTING)
        super().connect()
        self.sock.settimeout(self._left())

    def _left(self) -> float:
        left = self._due - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("it took too long")
        return left


def _connect(place: tuple[str, int], seconds: float, _: object = None) -> socket.socket:
    return connect(*place, seconds)


class _PatientSecure(_Patient, http.client.HTTPSConnection):
    """As ``_Patient``, with TLS."""


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, due: float) -> None:
        super().__init__()
        self._due = due

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Patient, req, due=self._due)  # type: ignore[arg-type]  # as http.client's, with a deadline


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, due: float, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._due, self._trusting = due, context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PatientSecure, req, context=self._trusting, due=self._due)  # type: ignore[arg-type]


class _Moves(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects to other HTTP addresses, without reading the bodies of those answers."""

    max_redirections = _MOST_MOVES
    max_repeats = 2

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith(("http://", "https://")):
            raise http.client.HTTPException("it redirects to a URL that is not HTTP")
        fp.close()
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.read = lambda *_: b""  # urllib would read the whole body, however long
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Closes the answer that refuses before it asks again with the password; urllib leaves it open."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """As ``_Digest``."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)
