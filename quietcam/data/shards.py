"""Packed sets: patches in files of raw pixels that are mapped into memory, and an index that only ever grows.

A packed set is a folder:

    pack.json         what it is: the size of a patch, the seed, the pictures in their order; written first
    shard_00000.u8    per patch its noisy side, then its clean side, uint8 (patch, patch, channels); 256 MiB at most
    index.jsonl       per patch its source, instance, box and the SHA-256 of its pixels; or a source that was skipped
    complete.json     how many patches there are, and the SHA-256 of the index; written last

A patch counts once its line stands whole in the index, and lines are written after their pixels are on the disk
(fsync). So whatever stops the packing, the patches that count are right, and what came after them is written again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.atomic import make_folder, write_json
from quietcam.data.crops import Box
from quietcam.errors import DataError, StorageError, UsageError
from quietcam.image import Image

__all__ = ["Entry", "PackedPicture", "Plan", "ShardSet", "ShardWriter", "is_packed", "open_shards"]

_FORMAT = 1
_SHARD_BYTES = 1 << 28
_PENDING_BYTES = 1 << 26
"""So much may be written before it is made to count: an fsync per small picture would take longer than the packing."""

_PLAN, _INDEX, _COMPLETE = "pack.json", "index.jsonl", "complete.json"
_OURS = re.compile(r"pack\.json|index\.jsonl|complete\.json|shard_\d{5}\.u8|\.(pack|complete)\.[0-9a-f]{8}\.json")
_LEFT_OVER = re.compile(r"\.(pack|complete)\.[0-9a-f]{8}\.json")
_AGAIN = "Remedy: delete the folder and pack again."


@dataclass(frozen=True)
class PackedPicture:
    """One pair of pictures that a set is made of.

    Attributes:
        name: the pair's, unique in its data set.
        instance: SIDD's name of the scene instance; empty where there is none.
        scene: what splits go by.
        side: train, validation or test; empty where there were too few scenes to split.
        noisy_bytes: length of the noisy file, to tell when another one has taken its place.
        clean_bytes: the same of the clean one.
    """

    name: str
    instance: str
    scene: str
    side: str
    noisy_bytes: int
    clean_bytes: int


@dataclass(frozen=True)
class Plan:
    """What a packed set is to hold; the same plan and the same pictures give the same bytes.

    Attributes:
        data: name of the data set's folder.
        patch: side of a patch in pixels.
        channels: 3 for RGB, 1 for grayscale.
        seed: of the boxes; without meaning in a dense grid.
        per_picture: the most patches of one picture; None is a dense grid.
        split: the side that was packed, or all.
        rule: how the pictures were split into sides.
        pictures: in the order in which they are packed.
        patches_per_shard: each shard but the last holds so many.
    """

    data: str
    patch: int
    channels: int
    seed: int
    per_picture: int | None
    split: str
    rule: str
    pictures: tuple[PackedPicture, ...]
    patches_per_shard: int = 0

    def __post_init__(self) -> None:
        if not self.patches_per_shard:
            object.__setattr__(self, "patches_per_shard", max(1, _SHARD_BYTES // self.patch_bytes))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of one patch in a shard: noisy and clean, rows, columns, channels."""
        return (2, self.patch, self.patch, self.channels)

    @property
    def patch_bytes(self) -> int:
        """Bytes of one patch in a shard, both sides."""
        return 2 * self.patch * self.patch * self.channels

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in ``pack.json``."""
        return {"format": _FORMAT, **asdict(self), "pictures": [asdict(picture) for picture in self.pictures]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        """What ``to_dict`` gave."""
        known = {field.name: values[field.name] for field in fields(cls)}
        return cls(**{**known, "pictures": tuple(PackedPicture(**each) for each in known["pictures"])})


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the index: a patch, or, where ``skipped`` says why, a picture that gives none.

    Attributes:
        source: name of the pair.
        instance: SIDD's name of the scene instance; empty where there is none.
        box: of the patch in its picture.
        sha256: of the patch's pixels, noisy then clean, hexadecimal.
        skipped: why the picture gives no patch.
    """

    source: str
    instance: str = ""
    box: Box = (0, 0, 0, 0)
    sha256: str = ""
    skipped: str = ""

    def line(self) -> bytes:
        """As it stands in the index."""
        values = (
            {"source": self.source, "skipped": self.skipped}
            if self.skipped
            else {"source": self.source, "instance": self.instance, "box": self.box, "sha256": self.sha256}
        )
        return json.dumps(values, ensure_ascii=False).encode() + b"\n"


class ShardSet:
    """A packed set, to be read: its pixels are mapped into memory, not loaded.

    Attributes:
        folder: where it lies.
        plan: what it is made of.
        complete: whether the packing came to its end.
        skipped: pictures that gave no patch, one line each.
        picture: int32 ``(N,)``: for each patch, the index of its picture in ``plan.pictures``.
        box: int32 ``(N, 4)``: x0 y0 x1 y1, the last two exclusive.
        digest: SHA-256 of the index, and so, through its hashes, of every pixel.
    """

    def __init__(self, folder: Path, plan: Plan, entries: list[Entry], digest: str, complete: bool) -> None:
        patches = [entry for entry in entries if not entry.skipped]
        number = {picture.name: i for i, picture in enumerate(plan.pictures)}
        self.folder, self.plan, self.digest, self.complete = folder, plan, digest, complete
        self.skipped = [f"{entry.source}: {entry.skipped}" for entry in entries if entry.skipped]
        self.picture = np.array([number[entry.source] for entry in patches], np.int32)
        self.box = np.array([entry.box for entry in patches], np.int32).reshape(-1, 4)
        self._hashes = np.frombuffer(bytes.fromhex("".join(entry.sha256 for entry in patches)), np.uint8).reshape(
            -1, 32
        )
        self._shards = [self._map(first) for first in range(0, len(self), plan.patches_per_shard)]

    def __len__(self) -> int:
        return len(self.picture)

    def pair(self, number: int) -> tuple[Image, Image]:
        """Noisy and clean of one patch, uint8 ``(patch, patch, channels)``: read-only views of the mapped file."""
        noisy, clean = self.both(number)
        return noisy, clean

    def both(self, number: int) -> Image:
        """One patch as it is stored, uint8 ``(2, patch, patch, channels)``, noisy before clean: a read-only view."""
        shard, place = divmod(number, self.plan.patches_per_shard)
        patch: Image = self._shards[shard][place]
        return patch

    def entry(self, number: int) -> Entry:
        """What the index says of one patch."""
        picture = self.plan.pictures[self.picture[number]]
        x0, y0, x1, y1 = self.box[number].tolist()
        return Entry(picture.name, picture.instance, (x0, y0, x1, y1), self._hashes[number].tobytes().hex())

    def of_side(self, side: str) -> NDArray[np.int64]:
        """The numbers of the patches whose pictures are on that side: train, validation or test."""
        wanted = np.array([picture.side == side for picture in self.plan.pictures], bool)
        return np.flatnonzero(wanted[self.picture]) if len(self) else np.zeros(0, np.int64)

    def damaged(self) -> Iterator[tuple[int, bool]]:
        """Read every patch: its number, and whether its pixels are not what the index says."""
        for number in range(len(self)):
            found = hashlib.sha256(self.both(number).data).digest()
            yield number, found != self._hashes[number].tobytes()

    def _map(self, first: int) -> Image:
        path = _shard_path(self.folder, first // self.plan.patches_per_shard)
        count = min(self.plan.patches_per_shard, len(self) - first)
        try:
            # As a plain array, since slicing a memmap makes a memmap, which is slow.
            return np.asarray(np.memmap(path, np.uint8, "r", shape=(count, *self.plan.shape)))
        except (OSError, ValueError) as error:
            raise DataError(
                f"A shard must hold all the patches that its index lists. Received: {path} ({error}). {_AGAIN}"
            ) from error


def is_packed(folder: Path) -> bool:
    """Whether ``folder`` is a packed set, complete or not."""
    return (folder / _PLAN).is_file()


def open_shards(folder: Path) -> ShardSet:
    """Open a packed set without reading its pixels. One that is not complete yet shows what counts so far.

    Raises:
        UsageError: it is no packed set.
        DataError: it is damaged.
    """
    folder = Path(folder)
    if not is_packed(folder):
        raise UsageError(
            f"A packed set is a folder with {_PLAN}. Received: {folder}. Remedy: write it with 'quietcam data pack'."
        )
    plan = _read_plan(folder)
    entries, ends = _read_index(folder / _INDEX, plan)
    content = (folder / _INDEX).read_bytes()[: ends[-1]] if entries else b""
    digest = hashlib.sha256(content).hexdigest()
    complete = _read_complete(folder)
    if complete is not None and complete.get("sha256") != digest:
        raise DataError(
            f"The index of a packed set must be the one that it was finished with. Received: {folder}. {_AGAIN}"
        )
    return ShardSet(folder, plan, entries, digest, complete is not None)


class ShardWriter:
    """Writes a packed set, or goes on with one that was interrupted. One process at a time.

    Use as a context manager: leaving it, also by an error or Ctrl-C, makes what was added count.

    Attributes:
        kept: how many patches counted when it was opened.
        patches: how many there are by now.
        complete: whether the set was finished already; then there is nothing to add.
        last: the picture of the last line that counted then: those before it are done, it may be half done.
        lines_of_last: its lines.

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
            self.complete = _read_complete(self.folder) is not None
            entries = [] if self.complete else self._recover()
            self.patches = self.kept = sum(not entry.skipped for entry in entries)
            self.last = entries[-1].source if entries else None
            self.lines_of_last = [entry for entry in entries if entry.source == self.last]
            if not self.complete:
                self._index = self._open(self.folder / _INDEX)
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
        """Note that a picture gives no patch, and why."""
        self._pending.append(Entry(source.name, skipped=reason).line())

    def commit(self) -> None:
        """Make everything that was added count: pixels to the disk, then their lines."""
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
        digest = hashlib.sha256((self.folder / _INDEX).read_bytes()).hexdigest()
        try:
            write_json(self.folder / _COMPLETE, {"patches": self.patches, "sha256": digest})
        except StorageError as error:
            raise self._stopped(error) from error

    def discard(self) -> None:
        """Take away a set that came out empty."""
        self._pending.clear()
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name):
                path.unlink()

    def close(self) -> None:
        """Let the files go; what was not committed does not count. May be called twice."""
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
                    f"One process at a time may pack into a folder. Received: {self.folder}, which another one holds. "
                    "Remedy: wait for it, or choose another place with --out."
                ) from error
            # A network file system without locks: then it is up to the user.
        return descriptor

    def _settle_plan(self) -> None:
        """Write the plan into a new folder, or hold it against the one that is there."""
        if is_packed(self.folder):
            _compare_plans(self.folder, _read_plan(self.folder), self.plan)
        else:
            foreign = sorted(path.name for path in self.folder.iterdir() if not _LEFT_OVER.fullmatch(path.name))
            if foreign:
                raise DataError(
                    f"A packed set needs a folder of its own. Received: {self.folder}, which holds {foreign[0]}"
                    f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''}. "
                    "Remedy: choose another place with --out, or empty this one."
                )
            write_json(self.folder / _PLAN, self.plan.to_dict())
        for path in self.folder.iterdir():
            if _LEFT_OVER.fullmatch(path.name):  # of a process that was killed
                path.unlink()

    def _recover(self) -> list[Entry]:
        """The entries that count, with the files cut back to them."""
        path = self.folder / _INDEX
        entries, ends = _read_index(path, self.plan)
        where = [i for i, entry in enumerate(entries) if not entry.skipped]
        good = self._good_patches([entries[i] for i in where])
        if good < len(where):
            # From the first patch that is not what its line says, everything is written again.
            entries = entries[: where[good]]
        self._length = ends[len(entries) - 1] if entries else 0
        try:
            if path.exists() and path.stat().st_size > self._length:
                os.truncate(path, self._length)
            full, rest = divmod(good, self.plan.patches_per_shard)
            for shard in sorted(self.folder.glob("shard_[0-9][0-9][0-9][0-9][0-9].u8")):
                number = int(shard.stem.removeprefix("shard_"))
                if number > full or (number == full and rest == 0):
                    shard.unlink()
                elif number == full and shard.stat().st_size > rest * self.plan.patch_bytes:
                    os.truncate(shard, rest * self.plan.patch_bytes)
        except OSError as error:
            raise StorageError.writing(self.folder, error) from error
        return entries

    def _good_patches(self, entries: list[Entry]) -> int:
        """How many patches, from the first, are there; the last shard's worth is read back and its hashes checked.

        After a kill the order of the writes is enough; after a power cut, some disks lie about what they have written.
        """
        there = 0
        while there < len(entries):
            path = _shard_path(self.folder, there // self.plan.patches_per_shard)
            held = path.stat().st_size // self.plan.patch_bytes if path.exists() else 0
            there += min(held, self.plan.patches_per_shard)
            if held < self.plan.patches_per_shard:
                break
        there = min(there, len(entries))
        for number in range(max(0, there - self.plan.patches_per_shard), there):
            shard, place = divmod(number, self.plan.patches_per_shard)
            with _shard_path(self.folder, shard).open("rb") as file:
                file.seek(place * self.plan.patch_bytes)
                if hashlib.sha256(file.read(self.plan.patch_bytes)).hexdigest() != entries[number].sha256:
                    return number
        return there

    def _shard_file(self, number: int) -> int:
        if self._shard is None or self._shard[0] != number:
            if self._shard is not None:
                self._sync(self._shard[1])  # a commit knows the last shard only
                os.close(self._shard[1])
                self._shard = None
            self._shard = (number, self._open(_shard_path(self.folder, number)))
        return self._shard[1]

    def _open(self, path: Path) -> int:
        try:
            self._folder_changed = True
            return os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._stopped(error) from error

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise self._stopped(error) from error

    def _write(self, descriptor: int, content: memoryview, offset: int) -> None:
        """At a place of its own, so that a write that was cut short is written over."""
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


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard_{number:05d}.u8"


def _read_plan(folder: Path) -> Plan:
    try:
        values = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        if values["format"] != _FORMAT:
            raise DataError(
                f"A packed set must have format {_FORMAT}. Received: {folder} with format {values['format']}. {_AGAIN}"
            )
        return Plan.from_dict(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder / _PLAN} must describe a packed set. Received: {error!r}. {_AGAIN}") from error


def _read_complete(folder: Path) -> dict[str, Any] | None:
    path = folder / _COMPLETE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be readable. Received: {error}. {_AGAIN}") from error
    return found


def _read_index(path: Path, plan: Plan) -> tuple[list[Entry], list[int]]:
    """The entries up to the first line that is not whole or not of this plan, and the byte where each ends."""
    order = {picture.name: i for i, picture in enumerate(plan.pictures)}
    entries: list[Entry] = []
    ends: list[int] = []
    at = last = 0
    try:
        with path.open("rb") as file:
            for line in file:
                entry = _parse(line)
                if entry is None or order.get(entry.source, -1) < last:
                    break
                last = order[entry.source]
                at += len(line)
                entries.append(entry)
                ends.append(at)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"The index of a packed set must be readable. Received: {path} ({error.strerror}).") from error
    return entries, ends


def _parse(line: bytes) -> Entry | None:
    """One line of the index; None when it is not exactly what ``Entry.line`` writes."""
    try:
        values = json.loads(line)
        if "box" in values:
            x0, y0, x1, y1 = values["box"]
            values["box"] = (x0, y0, x1, y1)
        entry = Entry(**values)
        return entry if entry.line() == line else None
    except (ValueError, TypeError):
        return None


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
        differing.append(f"{len(changed)} pictures have changed, come or gone since ({', '.join(changed[:3])})")
    raise DataError(
        f"A set is resumed with the pictures and options that it was begun with. Received: {folder}: "
        f"{'; '.join(differing)}. Remedy: choose another place with --out, or delete this one."
    )
