"""Writes packed sets: whatever stops it, the patches that count are correct, and the next run continues from there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from dataclasses import fields
from pathlib import Path
from types import TracebackType

import numpy as np

from quietcam.data.crops import Box
from quietcam.data.packed.format import (
    COMPLETE,
    INDEX,
    PLAN,
    Entry,
    PackedPicture,
    Plan,
    read_complete,
    read_index,
    read_plan,
    shard_path,
)
from quietcam.data.packed.reader import is_packed
from quietcam.errors import DataError, StorageError
from quietcam.files.atomic import make_folder, write_json
from quietcam.image import Image

__all__ = ["ShardWriter"]

_PENDING_BYTES = 1 << 26
"""Bytes that are written before a commit: an fsync per small picture would take longer than the packing."""

_OURS = re.compile(r"pack\.json|index\.jsonl|complete\.json|shard_\d{5}\.u8|\.(pack|complete)\.[0-9a-f]{8}\.json")
_LEFT_OVER = re.compile(r"\.(pack|complete)\.[0-9a-f]{8}\.json")


class ShardWriter:
    """Writes a packed set, or continues one that was interrupted. One process at a time.

    Use as a context manager: leaving it, also by an error or Ctrl-C, makes all added patches count.

    Attributes:
        kept: how many patches counted when it was opened.
        patches: how many there are now.
        complete: whether the set was finished before, so that there is nothing to add.
        last: the picture of the last line in the index at the opening. Pictures before it are done; this one may be
            incomplete.
        lines_of_last: the lines of that picture.

    Raises:
        DataError: the folder holds something else, or a set of another plan.
        StorageError: it cannot be written, or another process is packing there.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = make_folder(Path(folder)), plan
        self._pending: list[bytes] = []
        self._length = 0  # of the index, as far as it counts
        self._folder_changed = True
        self._shard: tuple[int, int] | None = None  # its number and its descriptor
        self._buffer: Image = np.empty(plan.shape, np.uint8)
        self._index = -1
        self._lock = self._take_lock()
        try:
            self._settle_plan()
            self.complete = read_complete(self.folder) is not None
            entries = [] if self.complete else self._recover()
            self.patches = self.kept = sum(not entry.skipped for entry in entries)
            self.last = entries[-1].source if entries else None
            self.lines_of_last = [entry for entry in entries if entry.source == self.last]
            if not self.complete:
                self._index = self._open(self.folder / INDEX)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, StorageError):
                self.commit()
        finally:
            self.close()

    def add(self, source: PackedPicture, box: Box, noisy: Image, clean: Image) -> None:
        """Append one patch: uint8 ``(patch, patch, channels)`` twice. It counts after the next ``commit``."""
        self._buffer[0], self._buffer[1] = noisy, clean
        content = self._buffer.data.cast("B")
        shard, place = divmod(self.patches, self.plan.patches_per_shard)
        self._write(self._shard_file(shard), content, place * self.plan.patch_bytes)
        digest = hashlib.sha256(content).hexdigest()
        self._pending.append(Entry(source.name, source.instance, box, digest).line())
        self.patches += 1
        if len(self._pending) * self.plan.patch_bytes >= _PENDING_BYTES:
            self.commit()

    def skip(self, source: PackedPicture, reason: str) -> None:
        """Record that a picture gives no patch, and why."""
        self._pending.append(Entry(source.name, skipped=reason).line())

    def commit(self) -> None:
        """Make all added patches count: pixels are synced to the disk, then their lines."""
        if not self._pending:
            return
        if self._shard is not None:
            self._sync(self._shard[1])
        if self._folder_changed:
            self._sync(self._lock)  # which is the folder's own descriptor
            self._folder_changed = False
        lines = b"".join(self._pending)
        self._write(self._index, memoryview(lines), self._length)
        self._sync(self._index)
        self._length += len(lines)
        self._pending.clear()

    def finish(self) -> None:
        """Commit and mark the set complete."""
        self.commit()
        digest = hashlib.sha256((self.folder / INDEX).read_bytes()).hexdigest()
        try:
            write_json(self.folder / COMPLETE, {"patches": self.patches, "sha256": digest})
        except StorageError as error:
            raise self._stopped(error) from error

    def discard(self) -> None:
        """Remove a set that has no patch."""
        self._pending.clear()
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name):
                path.unlink()

    def close(self) -> None:
        """Close the files. What was not committed does not count. May be called twice."""
        for descriptor in (self._shard[1] if self._shard else -1, self._index, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._shard, self._index, self._lock = None, -1, -1

    def _take_lock(self) -> int:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                raise StorageError(
                    f"Only one process at a time may pack into a folder. Received: {self.folder}, in use by another. "
                    "Remedy: wait for it, or choose another place with `out`."
                ) from error
            # A network file system without locks: the user must start only one process.
        return descriptor

    def _settle_plan(self) -> None:
        """Write the plan into a new folder, or compare it with the existing plan."""
        if is_packed(self.folder):
            _compare_plans(self.folder, read_plan(self.folder), self.plan)
        else:
            foreign = sorted(path.name for path in self.folder.iterdir() if not _LEFT_OVER.fullmatch(path.name))
            if foreign:
                raise DataError(
                    f"A packed set needs a folder of its own. Received: {self.folder}, which holds {foreign[0]}"
                    f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''}. "
                    "Remedy: choose another place with `out`, or empty this one."
                )
            write_json(self.folder / PLAN, self.plan.to_dict())
        for path in self.folder.iterdir():
            if _LEFT_OVER.fullmatch(path.name):  # of a process that was killed
                path.unlink()

    def _recover(self) -> list[Entry]:
        """The entries that count; the files are truncated to them."""
        path = self.folder / INDEX
        entries, ends = read_index(path, self.plan)
        where = [i for i, entry in enumerate(entries) if not entry.skipped]
        good = self._good_patches([entries[i] for i in where])
        if good < len(where):
            # From the first patch that does not match its line, everything is written again.
            entries = entries[: where[good]]
        self._length = ends[len(entries) - 1] if entries else 0
        try:
            if path.exists() and path.stat().st_size > self._length:
                self._cut(path, self._length)
            full, rest = divmod(good, self.plan.patches_per_shard)
            for shard in sorted(self.folder.glob("shard_[0-9][0-9][0-9][0-9][0-9].u8")):
                number = int(shard.stem.removeprefix("shard_"))
                if number > full or (number == full and rest == 0):
                    shard.unlink()
                elif number == full and shard.stat().st_size > rest * self.plan.patch_bytes:
                    self._cut(shard, rest * self.plan.patch_bytes)
        except OSError as error:
            raise StorageError.writing(self.folder, error) from error
        return entries

    def _good_patches(self, entries: list[Entry]) -> int:
        """How many patches, from the first, are on the disk; as many as fill a shard are read back and checked by hash.

        After a kill the order of the writes is enough; after a power cut, some disks lack data that they had confirmed.
        """
        there = 0
        while there < len(entries):
            path = shard_path(self.folder, there // self.plan.patches_per_shard)
            held = path.stat().st_size // self.plan.patch_bytes if path.exists() else 0
            there += min(held, self.plan.patches_per_shard)
            if held < self.plan.patches_per_shard:
                break
        there = min(there, len(entries))
        for number in range(max(0, there - self.plan.patches_per_shard), there):
            shard, place = divmod(number, self.plan.patches_per_shard)
            with shard_path(self.folder, shard).open("rb") as file:
                file.seek(place * self.plan.patch_bytes)
                if hashlib.sha256(file.read(self.plan.patch_bytes)).hexdigest() != entries[number].sha256:
                    return number
        return there

    def _shard_file(self, number: int) -> int:
        if self._shard is None or self._shard[0] != number:
            if self._shard is not None:
                self._sync(self._shard[1])  # a commit syncs only the last shard
                os.close(self._shard[1])
                self._shard = None
            self._shard = (number, self._open(shard_path(self.folder, number)))
        return self._shard[1]

    def _open(self, path: Path) -> int:
        try:
            self._folder_changed = True
            # With a link, somebody else's file would be written or truncated.
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._stopped(error) from error

    def _cut(self, path: Path, length: int) -> None:
        descriptor = self._open(path)
        try:
            os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise self._stopped(error) from error

    def _write(self, descriptor: int, content: memoryview, offset: int) -> None:
        """Write at a fixed offset, so that an incomplete write is overwritten."""
        try:
            while content:
                written = os.pwrite(descriptor, content, offset)
                content, offset = content[written:], offset + written
        except OSError as error:
            raise self._stopped(error) from error

    def _stopped(self, error: OSError) -> StorageError:
        what = (
            str(error).removesuffix(".")
            if isinstance(error, StorageError)
            else str(StorageError.writing(self.folder, error))
        )
        return StorageError(f"{what} The set can be resumed: run the same command again.")


def _compare_plans(folder: Path, there: Plan, asked: Plan) -> None:
    if there == asked:
        return
    differing = [
        f"{field.name} {getattr(there, field.name)} there, {getattr(asked, field.name)} asked for"
        for field in fields(Plan)
        if field.name != "pictures" and getattr(there, field.name) != getattr(asked, field.name)
    ]
    if there.pictures != asked.pictures:
        before = {picture.name: picture for picture in there.pictures}
        now = {picture.name: picture for picture in asked.pictures}
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        differing.append(f"{len(changed)} pictures were changed, added or removed since ({', '.join(changed[:3])})")
    raise DataError(
        f"A packed set must be continued with the pictures and options that it was started with. Received: {folder}: "
        f"{'; '.join(differing)}. Remedy: choose another place with `out`, or delete this one."
    )
