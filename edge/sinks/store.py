"""The spool's folder: entries that are there whole or not at all, the oldest out first, within a number of bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from quietcam.atomic import make_folder, sync_folder
from quietcam.errors import StorageError, UsageError

__all__ = ["Entry", "Store", "allocated"]

_BLOCK = 4096  # bytes: what a file takes on the disk is a multiple of this
_NAME = re.compile(r"(\d{10})_[0-9TZ.-]+(_[a-z]+)?(\.[a-z]+)?")
_TEMPORARY = ".new-"
_LOCK = ".lock"


def allocated(sizes: Mapping[str, int]) -> int:
    """Bytes on the disk that files of these ``sizes`` take, with a folder around them if there are several."""
    blocks = sum(-(-size // _BLOCK) for size in sizes.values())
    return (blocks + (len(sizes) > 1)) * _BLOCK


class Entry(NamedTuple):
    """What was stored together, and the bytes it takes."""

    name: str
    size: int


class Store:
    """Entries in a folder, in the order in which they were added, whatever the clock says.

    An entry is a file, or a folder of several that belong together: it is written under a temporary name, synced, and
    renamed, so it appears at once as a whole; it also goes as a whole. Names begin with a number that counts up.

    Args:
        folder: made where it is missing. Files of other names stay and are not counted.
        limit: bytes that all entries may take.
        wall: unix seconds, for names.
    """

    def __init__(self, folder: Path, limit: int, wall: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.limit = limit
        self.evicted = 0
        self._wall = wall
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._next = 0
        self._lock: int | None = None

    @property
    def size(self) -> int:
        """Bytes that all entries take."""
        return self._size

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def open(self) -> None:
        """Take the folder: leftovers of a power cut go, the account is made anew from what is there.

        Raises:
            StorageError: it cannot be made or written to.
            UsageError: another process uses it.
        """
        make_folder(self.folder)
        self._take_lock()
        try:
            self._entries = deque(self._found())
        except OSError as error:
            self.close()
            raise StorageError.writing(self.folder, error) from error
        self._size = sum(entry.size for entry in self._entries)
        numbers = [int(entry.name.split("_")[0]) for entry in self._entries]
        self._next = max([self._next, *(number + 1 for number in numbers)])
        self._make_room(0)

    def close(self) -> None:
        """Let go of the folder. May be called twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def add(self, files: Mapping[str, bytes]) -> Entry:
        """Store an entry: when this returns it is on the disk.

        Args:
            files: content by what ends its name (``.jpg``, one file) or by name (several).

        Raises:
            StorageError: the disk is full, read-only or gone; nothing of the entry is there.
            UsageError: the entry alone is larger than the limit.
        """
        size = allocated({name: len(content) for name, content in files.items()})
        if size > self.limit:
            raise UsageError(
                f"A spool must have room for one entry. Received: {self.limit:,} bytes, and one takes {size:,}. "
                "Remedy: give it more, as size=…, or store without twin or as jpg."
            )
        self._make_room(size)
        name = f"{self._next:010d}_{_stamp(self._wall())}"
        temporary = self.folder / f"{_TEMPORARY}{secrets.token_hex(4)}"
        try:
            if len(files) == 1:
                ((suffix, content),) = files.items()
                name += suffix
                _write(temporary, content)
            else:
                temporary.mkdir()
                for each, content in files.items():
                    _write(temporary / each, content)
                sync_folder(temporary)
            temporary.rename(self.folder / name)
        except OSError as error:
            with contextlib.suppress(OSError):
                _remove(temporary)
            raise StorageError.writing(self.folder, error) from error
        entry = Entry(name, size)
        self._next += 1
        self._entries.append(entry)
        self._size += size
        try:
            sync_folder(self.folder)
        except OSError as error:
            raise StorageError.writing(self.folder, error) from error
        return entry

    def _take_lock(self) -> None:
        path = self.folder / _LOCK
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError.writing(path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise UsageError(
                f"A spool belongs to one process. Received: {self.folder}, which another one uses. "
                "Remedy: stop that one, or choose another folder."
            ) from None
        self._lock = handle

    def _found(self) -> list[Entry]:
        entries = []
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(_TEMPORARY):
                _remove(path)
            elif _NAME.fullmatch(path.name):
                files = [path] if not path.is_dir() else list(path.iterdir())
                sizes = {each.name: each.stat().st_size for each in files}
                if path.is_dir():
                    sizes.setdefault("", 0)  # the folder's own block, also around a single file
                entries.append(Entry(path.name, allocated(sizes)))
        return entries

    def _make_room(self, size: int) -> None:
        """Let the oldest go until ``size`` more bytes fit. One that somebody else removed is gone as well."""
        while self._entries and self._size + size > self.limit:
            path = self.folder / self._entries[0].name
            gone = self.folder / f"{_TEMPORARY}{secrets.token_hex(4)}"
            try:
                if path.is_dir():
                    path.rename(gone)  # so that nobody ever sees half of it
                    path = gone
                _remove(path)
                self.evicted += 1
            except FileNotFoundError:
                pass
            except OSError as error:  # it stays in the account, as it does on the disk
                raise StorageError.writing(path, error) from error
            self._size -= self._entries.popleft().size


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _stamp(seconds: float) -> str:
    """``2026-05-17T08-30-00.250Z``: UTC, in letters that every file system takes."""
    millis = max(0, min(int(seconds * 1000), 253402300799999))
    return time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(millis // 1000)) + f".{millis % 1000:03d}Z"
