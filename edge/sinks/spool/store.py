"""Store: the entries in the spool's folder, never incomplete, within a limit of bytes; the oldest are removed first."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from edge.sinks.locked_folder import FOLDER, LockedFolder, move, names, remove, sizes
from edge.sinks.spool.entries import (
    HIGH,
    Entry,
    allocated,
    entry_name,
    is_entry,
    is_leftover,
    number_of,
    temporary_name,
)
from edge.sinks.spool.shelf import Shelf
from quietcam.errors import StorageError, UsageError
from quietcam.files.atomic import sync_folder, write_new

__all__ = ["Store"]

_LOOK, _LOOK_SHARE = 60.0, 100.0  # between two counts of all entries: seconds, and multiples of the time of one count
_MOST_TRIES = 100  # most entries in a row that removal fails for before it gives up for now
_DISK_FAILS = {errno.EIO, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENODEV, errno.ESTALE, errno.ENXIO}


class Store:
    """Entries in a folder, in the order in which they were added, even if the clock jumps.

    An entry is a file, or a folder of files that belong together. It is written under a temporary name, synced and
    renamed, so it appears as a whole; it also disappears as a whole. Names begin with a number that counts up.

    Files with other names stay and do not count. The same is true, whatever their names, for links, pipes, devices, and
    folders that contain any of these or other folders. No path is used: see :class:`LockedFolder`.

    Args:
        folder: made if it is missing.
        limit: bytes that all entries together may take.
        wall: unix seconds, for names.
        clock: seconds, monotonic.
        ours: whether a name may be that of an entry.

    Attributes:
        evicted: how many entries were removed to make room.
    """

    def __init__(
        self,
        folder: Path,
        limit: int,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        ours: Callable[[str], bool] = is_entry,
    ) -> None:
        self.folder = folder
        self.limit = limit
        self.evicted = 0
        self._ours = ours
        self._wall, self._clock = wall, clock
        self._look_at = 0.0
        self._changed = 0  # time of the folder's last change at the last count
        self._held = LockedFolder(folder)
        self._entries: deque[Entry] = deque()
        self._stuck: deque[Entry] = deque()  # entries and leftovers that could not be removed
        self._size = 0
        self._next = 0

    @property
    def size(self) -> int:
        """Bytes of all entries, and of leftovers that cannot be removed."""
        return self._size

    @property
    def stuck(self) -> int:
        """How many entries and leftovers could not be removed. They are tried again."""
        return len(self._stuck)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries that count, the oldest first."""
        return tuple(sorted((*self._entries, *filter(self._is_shown, self._stuck))))

    @property
    def descriptor(self) -> int:
        """The descriptor of the locked folder.

        Raises:
            StorageError: no folder is locked.
        """
        return self._held.descriptor

    def shelf(self, name: str) -> Shelf:
        """Lists and opens entries, for other threads; ``name`` is that of the sink."""
        return Shelf(name, self._held, self._ours)

    def open(self) -> None:
        """Lock the folder, remove leftovers of a power cut, and count the entries.

        Raises:
            StorageError: it cannot be made or written to.
            UsageError: another process uses it.
        """
        self._held.take()
        try:
            self._look()
        except StorageError:
            self.close()
            raise

    def ensure(self) -> bool:
        """Lock the folder again if it was deleted, moved, replaced or mounted over; returns whether it was.

        Raises:
            StorageError: it cannot be locked, or the disk fails.
        """
        if self._held.is_there():
            self._tidy()
            if self._clock() >= self._look_at:
                self._look(where_changed=True)  # somebody may have removed entries
            return False
        self._forget()
        try:
            self.open()
        except UsageError as error:
            raise StorageError(str(error)) from error
        return True

    def close(self) -> None:
        """Unlock the folder. May be called twice."""
        self._held.release()

    def add(self, files: Mapping[str, bytes]) -> Entry:
        """Store an entry: when this returns it is on the disk.

        Args:
            files: content by the end of the name (``.jpg``) for one file, or by name for several.

        Raises:
            StorageError: the disk is full, read-only or gone, or the folder is gone (see ``ensure``). Then no part of
                the entry is stored.
            UsageError: the entry is larger than the limit.
        """
        size = allocated({name: len(content) for name, content in files.items()})
        if size > self.limit:
            raise UsageError(
                f"A spool must have room for one entry. Received: {self.limit:,} bytes, and one takes {size:,}. "
                "Remedy: raise size=…, leave out twin=yes, or set format=jpg."
            )
        if not self._held.is_there():
            raise self._held.gone()
        self._make_room(size)
        temporary = temporary_name()
        entry = Entry(entry_name(self._next, self._wall(), next(iter(files)) if len(files) == 1 else ""), size)
        try:
            self._write(temporary, files)
            self._next += 1  # also if that name is taken already
            move(self.descriptor, temporary, entry.name)
        except OSError as error:
            self._clear(Entry(temporary, size))
            raise StorageError.writing(self.folder, error) from error
        self._count(entry)
        try:
            sync_folder(self.descriptor)
        except OSError as error:
            self._take_back(temporary)
            raise StorageError.writing(self.folder, error) from error
        return entry

    def _write(self, temporary: str, files: Mapping[str, bytes]) -> None:
        folder = self.descriptor
        if len(files) == 1:
            write_new(folder, temporary, *files.values())
            return
        os.mkdir(temporary, dir_fd=folder)
        inner = os.open(temporary, FOLDER, dir_fd=folder)
        try:
            for name, content in files.items():
                write_new(inner, name, content)
            sync_folder(inner)
        finally:
            os.close(inner)

    def _take_back(self, temporary: str) -> None:
        """Remove the newest entry, which was not stored safely. If it cannot be removed, it stays, and is whole."""
        entry = self._entries[-1]
        with contextlib.suppress(OSError):
            move(self.descriptor, entry.name, temporary)
            self._entries.pop()
            self._size -= entry.size
            self._clear(Entry(temporary, entry.size))

    def _forget(self) -> None:
        self._entries, self._stuck, self._size = deque(), deque(), 0

    def _count(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._size += entry.size

    def _look(self, where_changed: bool = False) -> None:
        """Count all entries again; with ``where_changed``, only if the folder has changed since the last count.

        Raises:
            StorageError: the disk fails. The old count stays.
        """
        before = self._entries, self._stuck, self._size
        began = self._clock()
        try:
            changed = os.fstat(self.descriptor).st_mtime_ns
            if not where_changed or changed != self._changed:
                self._count_all(leftovers=not where_changed)
            self._changed = changed
        except OSError as error:
            self._entries, self._stuck, self._size = before
            raise StorageError.writing(self.folder, error) from error
        finally:
            now = self._clock()
            self._look_at = now + max(_LOOK, _LOOK_SHARE * (now - began))
        with contextlib.suppress(StorageError):  # the same error is raised when room is needed
            self._make_room(0)

    def _count_all(self, leftovers: bool) -> None:
        """Count again. Unknown leftovers are removed only at the start: later, somebody may be writing one."""
        known = dict((*self._entries, *self._stuck))
        self._forget()
        ours = [
            name
            for name in names(self.descriptor)
            if self._ours(name) or (is_leftover(name) and (leftovers or name in known))
        ]
        for name in sorted(ours):  # leftovers first, since a dot is before any digit
            try:
                there = sizes(self.descriptor, name)
                size = None if there is None else allocated(there)
            except PermissionError:  # an entry that was never counted is not ours
                size = known.get(name)
            if size is not None:
                (self._count if self._ours(name) else self._clear)(Entry(name, size))
        self._number_anew()
        self._next = max([self._next, *(number_of(entry.name) + 1 for entry in self._entries)])

    def _number_anew(self) -> None:
        """Give the next low numbers to entries with numbers so high that somebody else must have made them."""
        high: deque[Entry] = deque()
        while self._entries and number_of(self._entries[-1].name) >= HIGH:
            high.appendleft(self._entries.pop())
        number = number_of(self._entries[-1].name) + 1 if self._entries else 0
        for number, entry in enumerate(high, number):  # noqa: B020  counting starts at the first number
            name = f"{number:010d}{entry.name[10:]}"
            try:
                if name != entry.name:
                    move(self.descriptor, entry.name, name)
            except FileNotFoundError:
                self._size -= entry.size
            except OSError:  # it keeps its number, and is removed first
                self._stuck.append(entry)
            else:
                self._entries.append(Entry(name, entry.size))

    def _make_room(self, size: int) -> None:
        """Remove the oldest entries until ``size`` more bytes fit; skip those that cannot be removed.

        Raises:
            StorageError: there is no room.
        """
        why = OSError(errno.ENOSPC, "No entry is left that can be removed")
        again, tries = True, _MOST_TRIES
        while self._size + size > self.limit:
            entries = self._stuck if again and self._stuck else self._entries
            if not entries or not tries:
                raise StorageError.writing(self.folder, why) from why
            try:
                self._let_go(entries.popleft())
                if entries is self._stuck:  # so the others may go, too
                    self._entries.extendleft(sorted(filter(self._is_shown, entries), reverse=True))
                    self._stuck = deque(each for each in entries if not self._is_shown(each))
            except OSError as error:
                why, again, tries = error, False, tries - 1
                if error.errno in _DISK_FAILS:  # all others would fail, too
                    tries = 0

    def _let_go(self, entry: Entry) -> None:
        """Remove an entry that was taken off its list. If it cannot be removed, it is stuck and still counts.

        Raises:
            OSError: it cannot be removed.
        """
        name = entry.name
        try:
            there = sizes(self.descriptor, name)
            if there is not None and "" in there and self._ours(name):  # so that nobody sees half of it
                aside = temporary_name()
                move(self.descriptor, name, aside)
                name = aside
                self.evicted += 1
            if there is not None:
                remove(self.descriptor, name)
                self.evicted += self._ours(name)
        except FileNotFoundError:  # somebody else removed it
            pass
        except OSError:
            self._stuck.append(Entry(name, entry.size))
            raise
        self._size -= entry.size

    def _tidy(self) -> None:
        """Try again to remove one leftover."""
        for _ in range(len(self._stuck)):
            if not self._is_shown(self._stuck[0]):
                with contextlib.suppress(OSError):
                    self._let_go(self._stuck.popleft())
                return
            self._stuck.rotate(-1)

    def _clear(self, leftover: Entry) -> None:
        """Remove a leftover, which does not count. If that fails, it counts."""
        try:
            remove(self.descriptor, leftover.name)
        except FileNotFoundError:
            pass
        except OSError:
            self._stuck.append(leftover)
            self._size += leftover.size

    def _is_shown(self, entry: Entry) -> bool:
        return self._ours(entry.name)
