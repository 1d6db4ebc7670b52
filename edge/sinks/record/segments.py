"""Segments: a store of video files, of which the newest may still grow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path, PurePath

from edge.sinks.locked_folder import move, remove
from edge.sinks.record.unfinished import playable_bytes
from edge.sinks.spool.entries import Entry, allocated, entry_name, is_entry
from edge.sinks.spool.store import Store
from quietcam.errors import StorageError
from quietcam.files.atomic import sync_folder
from quietcam.terminal.log import log

__all__ = ["Segments"]

_GROWING, _CUT = "_recording", "_cut"
"""What the name of a segment that grows ends in, before its suffix; and that of one whose end is missing."""
_NAME = re.compile(r"(.*Z(?:_[a-z]+)?)\.(mp4|mkv)")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Segments(Store):
    """A :class:`Store` of ``.mp4`` and ``.mkv`` files. Frames of a spool in the same folder do not count.

    The segment that grows counts as well, and is never removed to make room. Its name says that it grows. Where a power
    cut or a crash left such a name, it becomes one that says that the end is missing.
    """

    def __init__(
        self,
        folder: Path,
        limit: int,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(folder, limit, wall, clock, _is_segment)
        self._growing: Entry | None = None

    def open(self) -> None:
        super().open()
        self._keep_unfinished()

    def begin(self, suffix: str) -> int:
        """Open a new segment; returns its descriptor. Call ``grow`` as it does.

        Raises:
            StorageError: the disk is full, read-only or gone, or the folder is gone.
        """
        if not self._held.is_there():
            raise self._held.gone()
        self._growing = Entry(entry_name(self._next, self._wall(), f"{_GROWING}{suffix}"), 0)
        self._next += 1
        try:
            return os.open(self._growing.name, _NEW, 0o666, dir_fd=self.descriptor)
        except OSError as error:
            self._growing = None
            raise StorageError.writing(self.folder, error) from error

    def grow(self, size: int) -> None:
        """Count the growing segment with ``size`` bytes, and remove the oldest ones so that it fits.

        Raises:
            StorageError: there is no room, or the segment or the folder was deleted, moved or replaced.
        """
        if self._growing is None or not self._held.is_there():
            raise self._held.gone()
        more = allocated({"": size}) - self._growing.size
        self._make_room(more)
        self._growing = Entry(self._growing.name, self._growing.size + more)
        self._size += more

    def finish(self, size: int, keep: bool = True) -> None:
        """Give the growing segment, of ``size`` bytes, its final name, or remove it. May be called twice.

        Raises:
            StorageError: the disk fails. A segment that does not get its final name keeps the other one.
        """
        growing, self._growing = self._growing, None
        if growing is None:
            return
        self._size -= growing.size
        entry = Entry(growing.name, allocated({"": size}))
        self._count(entry)
        try:
            if keep:
                self._rename(entry, growing.name.replace(_GROWING, ""))
            else:
                self._remove(entry)
            sync_folder(self.descriptor)
        except OSError as error:
            raise StorageError.writing(self.folder, error) from error

    def _count_all(self, leftovers: bool) -> None:
        """As in a store, but the growing segment is no entry yet. If it was deleted, ``grow`` says so."""
        super()._count_all(leftovers)
        growing, self._growing = self._growing, None
        for entry in self._entries:
            if growing is not None and entry.name == growing.name:
                self._entries.remove(entry)
                self._size += growing.size - entry.size
                self._growing = growing
                break

    def _keep_unfinished(self) -> None:
        """See to segments that a crash left unfinished. One without a whole fragment is removed."""
        for entry in self.entries:
            stem, suffix = PurePath(entry.name).stem, PurePath(entry.name).suffix
            if not stem.endswith(_GROWING):
                continue
            try:
                if self._cut(entry.name, suffix):
                    self._rename(entry, f"{stem.removesuffix(_GROWING)}{_CUT}{suffix}")
                else:
                    self._remove(entry)
            except OSError as error:
                log.warning(f"{self.folder / entry.name} stays as it is: {error.strerror}")

    def _cut(self, name: str, suffix: str) -> bool:
        """Leave out the part of a fragment at the end of an unfinished segment; False if nothing whole is left."""
        file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            if whole := playable_bytes(file, suffix):
                os.ftruncate(file, whole)
        finally:
            os.close(file)
        return whole > 0

    def _rename(self, entry: Entry, name: str) -> None:
        move(self.descriptor, entry.name, name)
        self._entries[self._entries.index(entry)] = Entry(name, entry.size)

    def _remove(self, entry: Entry) -> None:
        remove(self.descriptor, entry.name)
        self._entries.remove(entry)
        self._size -= entry.size


def _is_segment(name: str) -> bool:
    """Whether ``name`` may be that of a segment. Frames of a spool in the same folder are none."""
    found = _NAME.fullmatch(name)
    return found is not None and is_entry(found[1])
