"""Asks a release what this device shall run, and fetches it: verified, within a budget, and resumed after a break."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from edge.update.channel import Choice, Device, bundle_path, channel_path, device_path, parse_channel
from edge.update.source import NotThereError, open_source
from edge.update.trust import Limits, Trusted, read_root, stored_path, too_long
from quietcam.errors import StorageError, UpdateError
from quietcam.files.atomic import make_folder, sync_folder

__all__ = ["REASONS", "Answer", "Limits", "ReleaseClient", "RemoteArchive"]

REASONS = {
    "offline": "the server or the folder cannot be reached",
    "slow": "it did not come within its time; the next try goes on from there",
    "missing": "the release lacks a file",
    "no_root": "this device has no root.json",
    "no_clock": "this device's clock is not set",
    "frozen": "nobody signed the timestamp again, or a new one is held back",
    "expired": "other metadata have expired",
    "foreign": "it is not signed by keys that this device trusts",
    "rolled_back": "it is older than what this device has seen",
    "mixed": "its files belong to different versions",
    "altered": "a file differs from what was signed",
    "too_large": "it exceeds the budget of bytes",
    "unusable": "a bundle or a channel that is signed, and cannot be used",
}
"""The ``reason`` of an ``UpdateError``, and what it means."""

_SPARE = 16 << 20  # bytes that stay free on the disk
_DOWNLOADS = "download"


@dataclass(frozen=True)
class RemoteArchive:
    """A bundle's archive in a release: size in bytes, SHA-256, and where the release stores it."""

    bundle: str
    size: int
    sha256: str
    stored: str


@dataclass(frozen=True)
class Answer:
    """What a release says to this device.

    Attributes:
        archive: to take over; None: nothing to do.
        why: one sentence.
        is_new: whether the release has changed since the last check.
        requests, fetched: what the check cost: files that were asked for, and bytes that came.
    """

    archive: RemoteArchive | None
    why: str
    is_new: bool
    requests: int
    fetched: int


class ReleaseClient:
    """One check of a release, and one download. One process at a time.

    Args:
        source: a URL, or a folder.
        root: the ``root.json`` that this device trusts.
        folder: this device's own, which keeps verified metadata and downloads.
        device: who asks.
        limits: what it may cost.
        clock: the time now, with a time zone. Defaults to the system's.

    Raises:
        UsageError: ``source`` is neither a URL nor a folder.
        UpdateError: ``root`` cannot be read, or is no root file.
        StorageError: ``folder`` cannot be written to.
        MissingExtraError: the extra ``update`` is not installed.
    """

    def __init__(
        self,
        source: str,
        root: Path,
        folder: Path,
        device: Device,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = limits or Limits()
        self._device, self._folder, self._clock = device, folder, clock
        self._trusted = Trusted(open_source(source), read_root(root), folder, self._limits)
        self._downloads = make_folder(folder / _DOWNLOADS)

    def check(self, present: str | None, refused: Collection[str] = ()) -> Answer:
        """What this device shall take over.

        Args:
            present: id of the bundle that it runs; None if it runs none.
            refused: ids of bundles that failed here before.

        Raises:
            UpdateError: there is no answer that can be trusted; ``reason`` is one of ``REASONS``.
            StorageError: it cannot be kept.
        """
        is_new = self._trusted.refresh(self._clock())
        choice = self._choose(present, refused)
        archive = None
        if choice.bundle is not None:
            target = self._trusted.target(bundle_path(choice.bundle))
            if target is None or "sha256" not in target.hashes:
                raise UpdateError(
                    f"A release must hold what it offers. Received: {choice.bundle}, which it does not hold. "
                    "Remedy: ask whoever publishes the release.",
                )
            archive = RemoteArchive(choice.bundle, target.length, target.hashes["sha256"], stored_path(target))
        fetcher = self._trusted.fetcher
        return Answer(archive, choice.why, is_new, fetcher.requests, fetcher.fetched)

    def fetch(self, archive: RemoteArchive) -> Path:
        """Fetch an archive and verify it. A download that was cut off goes on where it ended.

        Returns:
            The archive in this device's folder. The caller unpacks and removes it.

        Raises:
            UpdateError: it cannot be had, or is not the one that was signed; ``reason`` is one of ``REASONS``.
            StorageError: the disk has too little space; then nothing of it stays.
        """
        whole, part = (self._downloads / f"{archive.bundle}{suffix}" for suffix in (".tar", ".part"))
        self._clear({whole.name, part.name})
        if archive.size > self._limits.bytes:
            raise too_long(f"{archive.bundle} of {archive.size} bytes, where {self._limits.bytes} are allowed")
        if _hash(whole) == archive.sha256:
            return whole
        whole.unlink(missing_ok=True)
        resumed = part.exists()
        try:
            self._download(archive, part)
            if resumed and _hash(part) != archive.sha256:  # what lay here was not the beginning of it
                part.unlink()
                self._download(archive, part)
            if _hash(part) != archive.sha256:
                part.unlink()
                raise UpdateError(
                    f"An archive must be the one that was signed. Received: {archive.stored}, which differs. "
                    "Remedy: ask whoever publishes the release. This device keeps running what it has.",
                    reason="altered",
                )
            part.replace(whole)
            sync_folder(self._downloads)
        except OSError as error:
            part.unlink(missing_ok=True)
            if isinstance(error, StorageError):
                raise
            raise StorageError.writing(whole, error) from error
        return whole

    def _choose(self, present: str | None, refused: Collection[str]) -> Choice:
        own = self._trusted.small_file(device_path(self._device.id))
        content = own or self._trusted.small_file(channel_path(self._device.channel))
        if content is None:
            return Choice(None, f"the release has no channel {self._device.channel}")
        return parse_channel(content).choose(self._device, present, refused)

    def _clear(self, keep: set[str]) -> None:
        """Remove downloads of other bundles."""
        for path in self._downloads.iterdir():
            if path.name not in keep:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _download(self, archive: RemoteArchive, part: Path) -> None:
        """Fetch what ``part`` lacks, and never more than the size that was signed."""
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "r+b") as file:  # noqa: PTH123  a descriptor
            start = file.seek(0, os.SEEK_END)
            if start > archive.size:
                start = 0
            if shutil.disk_usage(part.parent).free < archive.size - start + _SPARE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                if start < archive.size:
                    stream = self._trusted.fetcher.stream(archive.stored, start, self._limits.archive_seconds)
                    with stream as (begin, parts):
                        _append(file, begin, parts, archive.size)
            except NotThereError as error:
                raise UpdateError(f"{error} Remedy: ask whoever publishes the release.", reason="missing") from error
            finally:
                file.flush()
                os.fsync(handle)


def _append(file: IO[bytes], begin: int, parts: Iterator[bytes], size: int) -> None:
    file.seek(begin)
    file.truncate()
    for part in parts:
        left = size - file.tell()
        file.write(part[:left])
        if left <= len(part):
            break


def _hash(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
