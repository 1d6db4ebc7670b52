"""Where a release lies: on a web server, or in a folder such as a mounted USB stick or a share.

Both give the bytes of a file from some place on. What they give is not trusted: ``edge.update.fetch`` verifies it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import quote, urljoin, urlsplit

from edge.cameras.network.answer import Answer
from edge.cameras.network.lookup import connect, reason_of
from quietcam.errors import UpdateError, UsageError

__all__ = ["FolderSource", "NotThereError", "Source", "WebSource", "open_source"]

_CHUNK = 1 << 16
_MOST_MOVES = 3  # redirects
_CONNECTING = 10.0  # seconds
_PATH = re.compile(r"(?:[A-Za-z0-9%_-][A-Za-z0-9%._=-]*/)*[A-Za-z0-9%_-][A-Za-z0-9%._=-]*")


class NotThereError(UpdateError):
    """The source works, and has no such file."""


class Source(Protocol):
    """``name``: what messages show."""

    name: str

    def open(
        self, path: str, start: int, seconds: float
    ) -> contextlib.AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """A file's bytes from ``start`` on: the place where they really begin, ``start`` or 0, and the bytes.

        Args:
            path: within the release.
            seconds: from now until the last byte.

        Raises:
            NotThereError: there is no such file.
            UpdateError: the source cannot be reached, is too slow, or breaks off; also while bytes are read.
        """


def open_source(source: str) -> Source:
    """The source that a user names: a URL (``http://``, ``https://``) or a folder.

    Raises:
        UsageError: it is neither.
    """
    if "://" not in source:
        return FolderSource(Path(source))
    parts = urlsplit(source)
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if (
        not usable
        or parts.query
        or parts.fragment
        or parts.username
        or not source.isascii()
        or not source.isprintable()
    ):
        raise UsageError(
            "A release is a folder, or a URL as https://HOST/PATH without a user, a query and a fragment. "
            f"Received: {source}. Remedy: check it."
        )
    return WebSource(source)


class FolderSource:
    """A folder. Its disk may vanish at any moment."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.name = folder, str(folder)

    @contextlib.contextmanager
    def open(self, path: str, start: int, seconds: float) -> Iterator[tuple[int, Iterator[bytes]]]:
        place = self._folder / _checked(path)
        try:
            if not self._folder.is_dir():
                raise UpdateError(
                    f"A release's folder must be there. Received: {self.name}. Remedy: mount it, or check the path.",
                    reason="offline",
                )
            if not stat.S_ISREG(place.stat().st_mode):
                raise NotThereError(f"A release holds plain files. Received: {place}.", reason="missing")
            handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(handle, "rb") as file:  # noqa: PTH123  a descriptor
                file.seek(start)
                yield start, self._read(file, time.monotonic() + seconds)
        except FileNotFoundError:
            raise NotThereError(f"{self.name} has no {path}.", reason="missing") from None
        except OSError as error:
            raise _unreadable(self.name, error) from error

    def _read(self, file: IO[bytes], due: float) -> Iterator[bytes]:
        while True:
            try:
                part = file.read(_CHUNK)
            except OSError as error:
                raise _unreadable(self.name, error) from error
            if not part:
                return
            yield part
            if time.monotonic() > due:
                raise _slow(self.name)


class WebSource:
    """A static web server. A name server, a server or a proxy that says nothing, or little, ends at the time limit."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/") + "/"
        self.name = url

    @contextlib.contextmanager
    def open(self, path: str, start: int, seconds: float) -> Iterator[tuple[int, Iterator[bytes]]]:
        due = time.monotonic() + seconds
        try:
            connection, answer = self._ask(urljoin(self._base, _checked(path)), start, due)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise _slow(self.name) from error
            raise _unreachable(self.name, reason_of(error)) from error
        except _MovedError as error:
            raise _unreachable(self.name, str(error)) from error
        except http.client.HTTPException as error:
            raise _unreachable(self.name, f"no answer of HTTP ({type(error).__name__})") from error
        with contextlib.closing(connection), answer:
            if answer.status in (403, 404):
                raise NotThereError(f"{self.name} has no {path}.", reason="missing")
            if (
                answer.status == 206
                and start
                and (answer.getheader("Content-Range") or "").startswith(f"bytes {start}-")
            ):
                yield start, self._read(answer)
            elif answer.status == 200:
                yield 0, self._read(answer)
            elif answer.status == 416:
                raise NotThereError(f"{self.name} has no {path} of more than {start} bytes.", reason="missing")
            else:
                raise _unreachable(self.name, f"the status {answer.status} for {path}")

    def _ask(self, url: str, start: int, due: float) -> tuple[http.client.HTTPConnection, Answer]:
        """A connection and its answer, of which the head was read."""
        secure = False
        for _ in range(1 + _MOST_MOVES):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or (secure and parts.scheme == "http") or not parts.hostname:
                raise _MovedError("it redirects to a URL that is not HTTP, or no longer HTTPS")
            secure = parts.scheme == "https"
            connection = (_Secure if secure else _Plain)(parts.hostname, parts.port, due)
            try:
                headers = {"User-Agent": "quietcam", "Accept-Encoding": "identity"}
                if start:
                    headers["Range"] = f"bytes={start}-"
                connection.request("GET", quote(parts.path or "/", safe="/%:=&?~.-_"), headers=headers)
                answer = connection.getresponse()
                assert isinstance(answer, Answer)
                answer.within(due - time.monotonic())
            except BaseException:
                connection.close()
                raise
            if answer.status not in (301, 302, 303, 307, 308):
                return connection, answer
            url = urljoin(url, answer.getheader("Location") or "")
            answer.close()
            connection.close()
        raise _MovedError("it redirects again and again")

    def _read(self, answer: Answer) -> Iterator[bytes]:
        left = answer.length
        try:
            while left != 0 and (part := answer.read1(_CHUNK if left is None else min(_CHUNK, left))):
                yield part
                left = None if left is None else left - len(part)
        except TimeoutError as error:
            raise _slow(self.name) from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a chunk's length that is none
            raise _unreachable(self.name, f"it broke off: {reason_of(error)}") from error
        if left:
            raise _unreachable(self.name, "it broke off")


class _MovedError(http.client.HTTPException):
    """A redirection that is not followed."""


class _Plain(http.client.HTTPConnection):
    """A connection of which everything, the look-up of the name included, ends at ``due``."""

    response_class = Answer

    def __init__(self, host: str, port: int | None, due: float) -> None:
        super().__init__(host, port)
        self._due = due
        self._create_connection = _connect

    def connect(self) -> None:
        self.timeout = min(self._left(), _CONNECTING)
        super().connect()
        self.sock.settimeout(self._left())

    def _left(self) -> float:
        if (left := self._due - time.monotonic()) <= 0.0:
            raise TimeoutError("it took too long")
        return left


class _Secure(_Plain, http.client.HTTPSConnection):
    """As ``_Plain``, with TLS and a certificate that this system trusts."""

    def __init__(self, host: str, port: int | None, due: float) -> None:
        http.client.HTTPSConnection.__init__(self, host, port, context=ssl.create_default_context())
        self._due = due
        self._create_connection = _connect


def _connect(place: tuple[str, int], seconds: float, _: object = None) -> socket.socket:
    return connect(*place, seconds)


def _checked(path: str) -> str:
    """Names come from signed files; this holds even if these are wrong."""
    if not _PATH.fullmatch(path) or len(path) > 400:
        raise UpdateError(
            f"A release names its files by plain relative paths. Received: {path[:100]!a}. "
            "Remedy: ask whoever publishes the release."
        )
    return path


def _unreachable(name: str, why: str) -> UpdateError:
    return UpdateError(
        f"A release's server must answer. Received: {name}: {why}. "
        "Remedy: check the address and the network; the device keeps running what it has, and asks again.",
        reason="offline",
    )


def _unreadable(name: str, error: OSError) -> UpdateError:
    return UpdateError(
        f"A release's folder must be readable. Received: {name}: {error.strerror or error}. "
        "Remedy: check the disk and its cable.",
        reason="offline",
    )


def _slow(name: str) -> UpdateError:
    return UpdateError(
        f"A release must come within its time. Received: {name}, which is too slow. "
        "Remedy: none is needed if it was the network: the next try goes on where this one ended.",
        reason="slow",
    )
