"""Cameras that speak HTTP: a picture a request, pictures in one long answer, or what OpenCV has to read."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import numpy as np

from edge.cameras.base import Camera
from edge.cameras.mjpeg import JpegSplitter
from edge.cameras.network import NetworkCamera
from edge.cameras.url import CameraUrl
from edge.frame import Frame
from quietcam.errors import DataError
from quietcam.progress import say

__all__ = ["HttpCamera", "Kind", "look"]

_CONNECTING = 4.0  # seconds until a camera takes a connection
_ANSWERING = 10.0  # and until it answers: an old one takes some for a picture
_CHUNK = 1 << 16
_LARGEST = 64 << 20
_POLLED = 5.0  # pictures a second that are asked for, at most
_SLOWEST = 20.0  # seconds from one picture to the next, and of silence where no rate is known
_GAPS = 3.0  # as many times the distance of two pictures is a camera's silence
_FORGETS = 0.9  # of the longest distance with each picture
_SNAPSHOT_FROZEN = 300.0  # some take a new picture every minute only
_FROZEN = 4.0
_BROKEN = 25  # pictures in a row that cannot be decoded


class Kind(Enum):
    """What a URL answers with."""

    PICTURE = "one picture a request"
    PARTS = "pictures in one answer"
    FILE = "a file with an end"
    OTHER = "something else, for OpenCV to find out"


def look(url: CameraUrl) -> Kind | None:
    """What is there, by the head of one answer; None where nothing answers soon as it should."""
    try:
        with contextlib.closing(_ask(url, _CONNECTING)) as answer:
            return _kind(answer)
    except (OSError, http.client.HTTPException):
        return None


class HttpCamera(Camera):
    """A live camera behind HTTP. Frames are stamped with their arrival.

    Args:
        url: of a picture, of a multipart stream, or of a stream that OpenCV can read.
        fps: how often a picture is asked for; None: five times a second, or as often as the camera answers.

    Raises:
        DataError: (when opened) nothing answers, the camera refuses, or no picture comes.
    """

    live = True

    def __init__(
        self,
        url: CameraUrl,
        fps: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.name = url.name
        self._url = url
        self._wanted, self._rate = fps, fps or _POLLED
        self._clock = clock
        self._stopped = threading.Event()
        self._inner: NetworkCamera | None = None
        self._answer: Any = None
        self._polled = False
        self._first: np.ndarray | None = None
        self._parts = JpegSplitter()
        self._waiting: list[bytes] = []
        self._due = 0.0  # when the next picture is asked for
        self._gap = 0.0  # seconds between two pictures of a stream, the longest of late

    @property
    def size(self) -> tuple[int, int] | None:
        if self._inner is not None:
            return self._inner.size
        return None if self._first is None else (self._first.shape[1], self._first.shape[0])

    def open(self) -> None:
        if self._inner is not None or self._first is not None:
            return
        self._answer = self._asked()
        kind = _kind(self._answer)
        if kind in (Kind.PICTURE, Kind.PARTS):
            self._polled = kind is Kind.PICTURE
            if self._wanted is not None and not self._polled:
                say(f"{self.name} is a stream, which has the rate that its camera is set to")
            self.silence = _SLOWEST  # of a stream until its second picture tells more
            self.frozen_after = _SNAPSHOT_FROZEN if self._polled else _FROZEN
            self._first = self._next()
            return
        self._let_go()
        if kind is Kind.FILE:  # it did not answer when the run began; as a camera it would begin anew at its end
            raise DataError(
                f"A camera's video has no end. Received: {self.name}, which is a file. Remedy: start the run again, "
                "now that its server answers; it then ends with the file"
            )
        self._inner = NetworkCamera(self._url)
        self._inner.open()
        self.fps, self.frozen_after = self._inner.fps, self._inner.frozen_after

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        if self._inner is not None:
            yield from self._inner
            return
        index, image = 0, self._first
        before: float | None = None
        while image is not None and not self._stopped.is_set():
            now = self._clock()
            if not self._polled and before is not None:
                self._gap = max(now - before, _FORGETS * self._gap)
                self.silence = min(_GAPS * self._gap, _SLOWEST)
            before = now
            yield Frame(image, now, index)
            index += 1
            image = self._next()

    def stop(self) -> None:
        self._stopped.set()
        if self._inner is not None:
            self._inner.stop()

    def close(self) -> None:
        self._let_go()
        if self._inner is not None:
            self._inner.close()
            self._inner = None
        self._first = None

    def _next(self) -> np.ndarray | None:
        """The next picture: uint8 ``(H, W, 3)`` RGB; None once it is stopped."""
        for _ in range(_BROKEN):
            content = self._snapshot() if self._polled else self._part()
            if content is None:
                return None
            image = _decoded(content)
            if image is not None:
                return image
        raise DataError(f"A camera must send pictures that can be decoded. Received: {self.name}, which sends others.")

    def _snapshot(self) -> bytes | None:
        if self._answer is None:  # the one that it was opened with is the first
            if self._stopped.wait(max(0.0, self._due - self._clock())):
                return None
            self._due = self._clock() + 1.0 / self._rate
            self._answer = self._asked()
        try:
            content: bytes = self._answer.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            raise DataError(f"A picture must come whole. Received: {self.name}: {_said(error)}.") from None
        finally:
            self._let_go()
        return content

    def _part(self) -> bytes | None:
        while not self._waiting:
            if self._stopped.is_set():
                return None
            try:
                data = self._answer.read1(_CHUNK)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise DataError(f"it sends no more: {_said(error)}") from None
            if not data:
                raise DataError("it sends no more")
            self._waiting = self._parts.feed(data)
        return self._waiting.pop(0)

    def _asked(self) -> Any:
        try:
            return _ask(self._url, _ANSWERING)
        except urllib.error.HTTPError as error:
            error.close()
            remedy = "check user and password" if error.code in (401, 403) else "check the path"
            raise DataError(
                f"A camera must answer its URL with pictures. Received: {self.name}, which answers {error.code} "
                f"({error.reason}). Remedy: {remedy}."
            ) from None
        except http.client.HTTPException:  # an answer that is none of HTTP's: OpenCV may understand it
            return None
        except OSError as error:
            raise DataError(
                f"A camera must answer at its URL. Received: {self.name}, where {self._url.host} port "
                f"{self._url.port} does not ({_said(error)}). Remedy: check the address, the network and that the "
                "camera has power."
            ) from None

    def _let_go(self) -> None:
        if self._answer is not None:
            with contextlib.suppress(OSError):
                self._answer.close()
            self._answer = None


def _ask(url: CameraUrl, answering: float) -> Any:
    """The answer to a GET, its head read and its body not."""
    # Cameras sign their certificates themselves, and nobody else does.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [_Plain(), _Secure(context)]
    if url.user is not None:
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, url.bare, url.user, url.password or "")
        handlers += [_Digest(known), _Basic(known)]
    request = urllib.request.Request(url.bare, headers={"User-Agent": "quietcam", "Accept": "*/*"})
    try:
        return urllib.request.build_opener(*handlers).open(request, timeout=answering)
    except ValueError as error:  # a kind of authentication that urllib does not know, a URL that it cannot ask for
        raise http.client.HTTPException(str(error)) from None


class _Patient(http.client.HTTPConnection):
    """Whoever took the connection may take longer for its answer, and longest from one picture to the next."""

    def connect(self) -> None:
        answering, self.timeout = self.timeout, _CONNECTING
        super().connect()
        self.sock.settimeout(answering)

    def getresponse(self) -> http.client.HTTPResponse:
        socket = self.sock  # the answer's alone, once it says that it is the last one
        answer = super().getresponse()
        socket.settimeout(_SLOWEST)
        return answer


class _PatientSecure(_Patient, http.client.HTTPSConnection):
    """As ``_Patient``."""


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Patient, req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trusting = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PatientSecure, req, context=self._trusting)


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Lets go of the refusal before it asks again, which urllib leaves to chance."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """As ``_Digest``."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


def _kind(answer: Any) -> Kind:
    if answer is None:
        return Kind.OTHER
    kind = answer.headers.get_content_type()
    if kind.startswith("multipart/"):
        return Kind.PARTS
    if kind.startswith("image/") and kind != "image/gif":
        return Kind.PICTURE
    if "mpegurl" in kind:  # a playlist: of a film it says where it ends
        with contextlib.suppress(OSError, http.client.HTTPException):
            return Kind.FILE if b"#EXT-X-ENDLIST" in answer.read(1 << 20) else Kind.OTHER
    whole = answer.headers.get("Content-Length", "")
    return Kind.FILE if whole.isdigit() and int(whole) > 0 and not kind.startswith("text/") else Kind.OTHER


def _decoded(content: bytes) -> np.ndarray | None:
    import cv2

    if not content:
        return None
    try:
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # a picture of absurd size
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _said(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    error = reason if isinstance(reason, Exception) else error
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
