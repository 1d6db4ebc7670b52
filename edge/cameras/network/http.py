"""Cameras that use HTTP: one picture for each request, many in one answer, or another stream."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import numpy as np

from edge.cameras.base import Camera
from edge.cameras.network.answer import Answer, ask
from edge.cameras.network.lookup import no_answer, reason_of
from edge.cameras.network.mjpeg import JpegSplitter
from edge.cameras.network.stream import has_length, stream_camera
from edge.cameras.network.url import CameraUrl
from edge.run.frame import Frame
from quietcam.data.pictures.header_readers import glance
from quietcam.data.pictures.opencv import decode_image
from quietcam.errors import DataError
from quietcam.limits import MOST_FRAME_CODED, MOST_FRAME_PIXELS
from quietcam.terminal.log import log

__all__ = ["HttpCamera", "Kind", "look"]

_LOOKING = 4.0  # seconds in which the first answer must show the kind of camera
_ANSWERING = 10.0  # seconds in which it must answer: an old camera may need several for a picture
_CHUNK = 1 << 16
_PLAYLIST = 1 << 20
_POLLED = 5.0  # the most pictures a second to ask for
_SLOWEST = 20.0  # seconds between two pictures, and of silence if no rate is known
_GAPS = 3.0  # a camera is silent after this many times the gap between two pictures
_FORGETS = 0.9  # the longest gap shrinks by this factor with each picture
_SNAPSHOT_FROZEN = 300.0  # seconds: some cameras take only one picture a minute
_FROZEN = 4.0
_BROKEN = 25  # pictures in a row that cannot be decoded: after these the camera counts as broken


class Kind(Enum):
    """What a URL answers with: one picture, many pictures, a file or something else."""

    PICTURE = "one picture a request"
    PARTS = "pictures in one answer"
    FILE = "a file with an end"
    OTHER = "something else, for FFmpeg to find out"


def look(url: CameraUrl) -> Kind | None:
    """The kind of source at ``url``, by the head of one answer; None if no answer comes in time."""
    try:
        with contextlib.closing(ask(url, _LOOKING)) as answer:
            kind, video = _kind(answer), answer.headers.get_content_maintype() == "video"
    except (OSError, http.client.HTTPException):
        return None
    # A server that does not tell how long its answer is may still send a file.
    return Kind.FILE if kind is Kind.OTHER and video and has_length(url) else kind


class HttpCamera(Camera):
    """A live camera behind HTTP. A frame has the time of its arrival.

    Args:
        url: the URL of a picture, of a multipart stream, or of another stream.
        fps: pictures a second to ask for. Defaults to 5, or fewer if the camera answers more slowly.

    Raises:
        DataError: (when opened) the camera does not answer, refuses, or sends no picture.
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
        self._inner: Camera | None = None
        self._answer: Answer | None = None
        self._polled = False
        self._first: np.ndarray | None = None
        self._parts = JpegSplitter()
        self._waiting: list[bytes] = []
        self._due = 0.0  # when to ask for the next picture
        self._gap = 0.0  # the longest recent gap between two pictures of a stream, seconds

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
            if self._polled:
                log.info(f"{self.name} gives a picture a request: it is asked {self._rate:g} times a second at most")
            elif self._wanted is not None:
                log.warning(f"{self.name} is a stream: its camera sets the rate, so `fps` changes nothing")
            self.silence = _SLOWEST  # of a stream, until its second picture shows its rate
            self.frozen_after = _SNAPSHOT_FROZEN if self._polled else _FROZEN
            self._first = self._next()
            return
        self._let_go()
        if kind is Kind.FILE:  # it did not answer when the run began; as a camera it would start over at its end
            raise DataError(
                f"A camera's video has no end. Received: {self.name}, which is a file. Remedy: start the run again "
                "now that its server answers; it will end with the file."
            )
        self._inner = stream_camera(self._url)
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
        raise DataError(
            f"A camera must send pictures that can be decoded. Received: {self.name}, whose pictures cannot."
        )

    def _snapshot(self) -> bytes | None:
        if self._answer is None:  # the answer that it was opened with is the first
            if self._stopped.wait(max(0.0, self._due - self._clock())):
                return None
            self._due = self._clock() + 1.0 / self._rate
            self._answer = self._asked()
        try:
            if self._answer is None:
                raise http.client.HTTPException("its answer is not HTTP")
            content = self._answer.whole(MOST_FRAME_CODED, _SLOWEST)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DataError(f"A picture must come whole. Received: {self.name}: {reason_of(error)}.") from None
        finally:
            self._let_go()
        return content

    def _part(self) -> bytes | None:
        answer = self._answer
        if answer is None:
            raise DataError("it sends no more")
        if not self._waiting:
            answer.within(_SLOWEST)  # for the whole next picture: this also ends a server that sends byte by byte
        while not self._waiting:
            if self._stopped.is_set():
                return None
            try:
                data = answer.read1(_CHUNK)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise DataError(f"it sends no more: {reason_of(error)}") from None
            if not data:
                raise DataError("it sends no more")
            self._waiting = self._parts.feed(data)
        return self._waiting.pop(0)

    def _asked(self) -> Any:
        try:
            return ask(self._url, _ANSWERING)
        except urllib.error.HTTPError as error:
            error.close()
            remedy = "check user and password" if error.code in (401, 403) else "check the path"
            raise DataError(
                f"A camera must answer its URL with pictures. Received: {self.name}, which answers {error.code} "
                f"({error.reason}). Remedy: {remedy}."
            ) from None
        except http.client.HTTPException:  # the answer is not HTTP: FFmpeg may understand it
            return None
        except OSError as error:
            raise no_answer(self._url, error) from None

    def _let_go(self) -> None:
        if self._answer is not None:
            with contextlib.suppress(OSError):
                self._answer.close()
            self._answer = None


def _kind(answer: Answer | None) -> Kind:
    if answer is None:
        return Kind.OTHER
    kind = answer.headers.get_content_type()
    if kind.startswith("multipart/"):
        return Kind.PARTS
    if kind.startswith("image/") and kind != "image/gif":
        return Kind.PICTURE
    if "mpegurl" in kind:  # a playlist; the playlist of a film has an end mark
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            return Kind.FILE if b"#EXT-X-ENDLIST" in answer.whole(_PLAYLIST, _LOOKING) else Kind.OTHER
    whole = re.fullmatch(r"[0-9]{1,18}", answer.headers.get("Content-Length", ""))
    return Kind.FILE if whole and int(whole[0]) > 0 and not kind.startswith("text/") else Kind.OTHER


def _decoded(content: bytes) -> np.ndarray | None:
    import cv2

    try:
        bgr = decode_image(content, glance(content), cv2.IMREAD_COLOR, MOST_FRAME_PIXELS)
    except (DataError, ValueError, cv2.error):  # a format that cameras do not use, damaged, or far too large
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
