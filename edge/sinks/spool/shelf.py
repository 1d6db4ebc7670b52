"""Shelf: what a spool or a recording has stored, to be listed and read by others than the sink's own thread."""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from edge.sinks.locked_folder import FOLDER, LockedFolder, names, sizes

__all__ = ["Shelf", "Stored"]

_PART = re.compile(r"[a-z]{1,20}\.[a-z0-9]{1,8}")
"""The name of a file in an entry that is a folder, such as ``noisy.png``."""
_NOT_THERE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ENXIO}
"""Errors of opening that say that a name is that of no stored file, such as a link's or a socket's."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Stored(NamedTuple):
    """A stored file.

    Attributes:
        entry: the name of the entry in the folder.
        part: the name of the file in an entry that is a folder; empty where the entry is the file.
        size: bytes.
    """

    entry: str
    part: str
    size: int


class Shelf:
    """Reads the folder of a store, which another thread changes meanwhile. Each call opens the folder anew, since the
    descriptor of that thread may be closed at any time; it reads nothing but entries, and follows no link.

    Every call waits for the disk, which may hang.

    Args:
        name: the name of the sink, as reports show it.
        folder: held by the sink.
        ours: whether a name may be that of an entry.
    """

    def __init__(self, name: str, folder: LockedFolder, ours: Callable[[str], bool]) -> None:
        self.name = name
        self._folder, self._ours = folder, ours

    def newest(self, most: int, before: str | None = None) -> tuple[list[Stored], bool]:
        """The files of the newest entries, the newest first, and whether there are older entries.

        Args:
            most: most entries.
            before: the name of an entry; None: begin with the newest one.

        Raises:
            StorageError: the folder is gone.
            OSError: the disk fails.
        """
        with _closed_later(self._folder.reading()) as folder:
            older = (name for name in names(folder) if self._ours(name) and (before is None or name < before))
            entries = heapq.nlargest(most + 1, older)
            files = [stored for entry in entries[:most] for stored in _files(folder, entry)]
        return files, len(entries) > most

    @contextlib.contextmanager
    def read(self, entry: str, part: str = "") -> Iterator[tuple[int, int]]:
        """Open a stored file: its descriptor, and its size now.

        Raises:
            FileNotFoundError: there is no such file, or it is no file of an entry.
            StorageError: the folder is gone.
            OSError: the disk fails.
        """
        if not self._ours(entry) or (part and not _PART.fullmatch(part)):
            raise FileNotFoundError(entry)
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(_closed_later(self._folder.reading()))
                if part:
                    folder = stack.enter_context(_closed_later(os.open(entry, FOLDER, dir_fd=folder)))
                file = stack.enter_context(_closed_later(os.open(part or entry, _READ, dir_fd=folder)))
            except OSError as error:
                if error.errno in _NOT_THERE:
                    raise FileNotFoundError(entry) from error
                raise
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise FileNotFoundError(entry)
            yield file, found.st_size


def _files(folder: int, entry: str) -> Iterator[Stored]:
    """The files of one entry. One that was removed meanwhile, or that this user may not look at, has none."""
    with contextlib.suppress(PermissionError):
        for name, size in sorted((sizes(folder, entry) or {}).items()):
            if name == entry:
                yield Stored(entry, "", size)
            elif _PART.fullmatch(name):
                yield Stored(entry, name, size)


@contextlib.contextmanager
def _closed_later(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
