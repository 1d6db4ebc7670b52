"""A release's signed metadata, verified by The Update Framework's own client (python-tuf) and kept between checks.

What python-tuf refuses becomes an ``UpdateError`` that says which lie it was. A device for which nothing has changed
asks for one file, ``timestamp.json``: if it is the one that was verified before, and has not expired, no other can have
changed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge.update.source import NotThereError, Source
from quietcam.errors import MissingExtraError, StorageError, UpdateError
from quietcam.files.atomic import make_folder, write_bytes
from quietcam.files.regular import read_regular

try:
    from tuf.api.exceptions import (
        BadVersionNumberError,
        DownloadHTTPError,
        DownloadLengthMismatchError,
        ExpiredMetadataError,
        LengthOrHashMismatchError,
        RepositoryError,
        UnsignedMetadataError,
    )
    from tuf.api.metadata import Metadata, TargetFile, Timestamp
    from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig
except ImportError as missing:
    raise MissingExtraError.missing("tuf") from missing

__all__ = ["EARLIEST", "SIGNED_AT", "Limits", "Trusted", "read_root"]

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows an earlier time was never set."""

SIGNED_AT = "x-quietcam-signed-at"
"""The key of ``timestamp.json`` that says when it was signed."""

_BASE = "release:/"
_METADATA, _TARGETS = "metadata/", "targets/"
_MOST_ROOT, _MOST_TIMESTAMP, _MOST_SNAPSHOT, _MOST_TARGETS = 64 << 10, 8 << 10, 1 << 20, 5 << 20  # bytes
_MOST_ROOTS = 32  # new root files at one check
_MOST_SMALL = 256 << 10  # bytes of a channel
_SLACK = timedelta(days=1)  # clocks may differ by this


@dataclass(frozen=True)
class Limits:
    """What one update may cost.

    Attributes:
        bytes: that are fetched in all, whatever a server sends.
        seconds: for each small file, and ``archive_seconds`` for a bundle. A download that is cut off is resumed.
    """

    bytes: int = 64 << 20
    seconds: float = 60.0
    archive_seconds: float = 900.0


class Fetcher(FetcherInterface):
    """Gives python-tuf the files of a source within limits, and counts.

    Attributes:
        last: the path within the release that was asked for last.
        requests, fetched: files that were asked for, and bytes that came.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source, self._limits = source, limits
        self._known: dict[str, bytes | None] = {}
        self.last = ""
        self.requests = self.fetched = 0

    def know(self, path: str, content: bytes | None) -> None:
        """Give this content for ``path`` without asking the source; None: there is no such file."""
        self._known[path] = content

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """As python-tuf asks: the file at ``url``, which must not be longer."""
        self.last = path = url.removeprefix(_BASE)
        try:
            content = self._known[path] if path in self._known else self.read(path, max_length)
        except NotThereError as error:
            raise DownloadHTTPError(str(error), 404) from error
        if content is None:
            raise DownloadHTTPError(f"{path} is known not to be there", 404)
        return content

    def read(self, path: str, most: int) -> bytes:
        """A small file of the source.

        Raises:
            UpdateError: it is not there, cannot be reached, or is longer than ``most`` or than the budget.
        """
        parts = []
        left = most
        with self.stream(path, 0, self._limits.seconds) as (_, stream):
            for part in stream:
                left -= len(part)
                if left < 0:
                    raise too_long(f"{path} has more than {most} bytes")
                parts.append(part)
        return b"".join(parts)

    @contextlib.contextmanager
    def stream(self, path: str, start: int, seconds: float) -> Iterator[tuple[int, Iterator[bytes]]]:
        """As ``Source.open``, within the budget."""
        self.requests += 1
        with self._source.open(path, start, seconds) as (begin, parts):
            yield begin, self._counted(path, parts)

    def _counted(self, path: str, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.fetched += len(part)
            if self.fetched > self._limits.bytes:
                raise too_long(f"{path}, with which this update has more than {self._limits.bytes} bytes")
            yield part

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter([self.download_bytes(url, self._limits.bytes)])


class Trusted:
    """The verified metadata of a release.

    Args:
        source: where the release lies.
        root: the root file that this device trusts, as it came with the card.
        folder: keeps what was verified. It must be this device's own.
        limits: of one check and one download together.

    Raises:
        UpdateError: ``root`` is no root file.
    """

    def __init__(self, source: Source, root: bytes, folder: Path, limits: Limits) -> None:
        self.fetcher = Fetcher(source, limits)
        self._source, self._folder = source, folder
        self._metadata = make_folder(folder / "metadata")
        config = UpdaterConfig(
            max_root_rotations=_MOST_ROOTS,
            root_max_length=_MOST_ROOT,
            timestamp_max_length=_MOST_TIMESTAMP,
            snapshot_max_length=_MOST_SNAPSHOT,
            targets_max_length=_MOST_TARGETS,
        )
        with self._explained():
            self._updater = Updater(
                metadata_dir=str(self._metadata),
                metadata_base_url=_BASE + _METADATA,
                fetcher=self.fetcher,
                config=config,
                bootstrap=root,
            )

    def refresh(self, now: datetime) -> bool:
        """Fetch and verify what has changed. Whether anything has.

        Raises:
            UpdateError: the metadata cannot be had, or not be trusted; its ``reason`` says why.
            StorageError: it cannot be kept.
        """
        if now < EARLIEST:
            raise _no_clock(now, "it was never set")
        with self._explained():
            is_new = self._look_at_timestamp(now)
            self._updater.refresh()
            if is_new:
                self._sync()
        signed = _signed_at(self._kept("timestamp.json"))
        if signed is not None and now < signed - _SLACK:
            raise _no_clock(now, f"the release was signed later, at {signed:%Y-%m-%d %H:%M} UTC")
        return is_new

    def target(self, path: str) -> TargetFile | None:
        """What the signed metadata say of a file; None if the release has no such file."""
        with self._explained():
            return self._updater.get_targetinfo(path)

    def small_file(self, path: str) -> bytes | None:
        """A small file of the release, from the last check or from the source; None if the release has none.

        Raises:
            UpdateError: it cannot be had, or is not the one that was signed.
        """
        if (target := self.target(path)) is None:
            return None
        if target.length > _MOST_SMALL:
            raise too_long(f"{path} of {target.length} bytes")
        kept = self._folder / path
        with contextlib.suppress(OSError, LengthOrHashMismatchError):
            content = read_regular(kept, _MOST_SMALL)
            target.verify_length_and_hashes(content)
            return content
        with self._explained():
            content = self.fetcher.download_bytes(_BASE + stored_path(target), target.length)
            target.verify_length_and_hashes(content)
        write_bytes(kept, content)
        return content

    def _look_at_timestamp(self, now: datetime) -> bool:
        """Fetch ``timestamp.json``, and whether it differs from the one that was verified before."""
        path = f"{_METADATA}timestamp.json"
        content = self.fetcher.download_bytes(_BASE + path, _MOST_TIMESTAMP)
        self.fetcher.know(path, content)
        before = self._kept("timestamp.json")
        root = self._kept("root.json")
        if before != content or root is None:
            return True
        with contextlib.suppress(RepositoryError, ValueError):  # it was verified, but the disk may have changed it
            if Metadata[Timestamp].from_bytes(content).signed.expires > now:
                version = Metadata.from_bytes(root).signed.version
                self.fetcher.know(f"{_METADATA}{version + 1}.root.json", None)
        return False

    def _kept(self, name: str) -> bytes | None:
        try:
            return read_regular(self._metadata / name, _MOST_TARGETS)
        except OSError:
            return None

    def _sync(self) -> None:
        """Put what python-tuf wrote on the disk: after a power cut, no older metadata would be accepted."""
        for path in [*self._metadata.glob("*.json"), self._metadata]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of python-tuf as ours."""
        try:
            yield
        except DownloadHTTPError as error:
            raise UpdateError(
                f"A release must have all of its files. Received: {self._source.name} without {self.fetcher.last}. "
                "Remedy: check the address; if it is right, ask whoever publishes the release.",
                reason="missing",
            ) from error
        except DownloadLengthMismatchError as error:
            raise too_long(self.fetcher.last) from error
        except RepositoryError as error:
            raise _untrusted(error, self._source.name, self.fetcher.last) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, UpdateError):
                raise
            raise _refused("altered", f"{self._source.name}: {self.fetcher.last} is not valid ({error})") from error
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError.writing(self._metadata, error) from error


def read_root(path: Path) -> bytes:
    """The root file that this device trusts.

    Raises:
        UpdateError: it cannot be read.
    """
    try:
        return read_regular(path, _MOST_ROOT)
    except OSError as error:
        raise UpdateError(
            f"A device needs the root.json of the release that it trusts. Received: {path}: {error.strerror or error}. "
            "Remedy: copy it there from the release, over a way that you trust, such as the card.",
            reason="no_root",
        ) from error


def stored_path(target: TargetFile) -> str:
    """Where a release keeps a target: its hash is in its name, so that a cache never mixes two versions."""
    folder, _, name = target.path.rpartition("/")
    return f"{_TARGETS}{folder}{'/' if folder else ''}{target.hashes.get('sha256', 'none')}.{name}"


def too_long(what: str) -> UpdateError:
    """The error of a file that exceeds its size, or the budget."""
    return UpdateError(
        f"An update keeps to its budget of bytes. Received: {what}. "
        "Remedy: allow more, if the release really needs it.",
        reason="too_large",
    )


def _untrusted(error: RepositoryError, source: str, path: str) -> UpdateError:
    role = path.rpartition("/")[2].removesuffix(".json").rpartition(".")[2]
    where = f"{source}: {path}"
    if isinstance(error, ExpiredMetadataError):
        if role in ("timestamp", "root") and "timestamp" in str(error):
            return _refused("frozen", f"{where} has expired: nobody signed it again, or the new one is held back")
        return _refused("expired", f"{where}: {error}")
    if isinstance(error, UnsignedMetadataError):
        return _refused("foreign", f"{where} is not signed by the keys that this device trusts")
    if isinstance(error, BadVersionNumberError) and role in ("timestamp", "root"):
        return _refused("rolled_back", f"{where} is older than what this device has seen: {error}")
    if isinstance(error, BadVersionNumberError | LengthOrHashMismatchError):
        if role in ("snapshot", "targets"):
            return _refused("mixed", f"{where} does not belong to the other files: {error}")
        return _refused("altered", f"{where}: {error}")
    return _refused("altered", f"{where}: {error}")


_REMEDIES = {
    "frozen": "ask whoever publishes the release to sign it again; if they did, somebody between you and them keeps it "
    "back. Check this device's clock, too",
    "expired": "ask whoever publishes the release to sign it again, and check this device's clock",
    "foreign": "check that the address and root.json belong to the same release",
    "rolled_back": "ask whoever publishes the release whether an old copy was put on the server",
    "mixed": "wait until the release is uploaded whole; if that does not help, ask whoever publishes it",
    "altered": "ask whoever publishes the release; the file was damaged or altered after it was signed",
}


def _refused(reason: str, received: str) -> UpdateError:
    return UpdateError(
        f"A release must be signed, whole, in date and not older than before. Received: {received}. "
        f"Remedy: {_REMEDIES[reason]}. This device keeps running what it has.",
        reason=reason,
    )


def _signed_at(content: bytes | None) -> datetime | None:
    if content is None:
        return None
    with contextlib.suppress(RepositoryError, ValueError, TypeError):
        told: Any = Metadata[Timestamp].from_bytes(content).signed.unrecognized_fields.get(SIGNED_AT)
        found = datetime.fromisoformat(told)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _no_clock(now: datetime, why: str) -> UpdateError:
    return UpdateError(
        "A device needs the right time to tell whether a release is in date. "
        f"Received: {now:%Y-%m-%d %H:%M} UTC, but {why}. "
        "Remedy: let it reach a time server (timedatectl), or set the clock. This device keeps running what it has.",
        reason="no_clock",
    )
