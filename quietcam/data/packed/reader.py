"""Reads packed sets: pixels are mapped into memory, not loaded. ``quietcam.data.packed.format`` describes the files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quietcam.data.packed.format import (
    AGAIN,
    INDEX,
    PLAN,
    Entry,
    Plan,
    read_complete,
    read_index,
    read_plan,
    shard_path,
)
from quietcam.errors import DataError, UsageError
from quietcam.image import Image

__all__ = ["ShardSet", "is_packed", "open_shards"]


class ShardSet:
    """A packed set for reading: its pixels are mapped into memory, not loaded.

    Attributes:
        folder: the folder of the set.
        plan: what it is made of.
        complete: whether the packing was finished.
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
        """The entry of the index for one patch."""
        picture = self.plan.pictures[self.picture[number]]
        x0, y0, x1, y1 = self.box[number].tolist()
        return Entry(picture.name, picture.instance, (x0, y0, x1, y1), self._hashes[number].tobytes().hex())

    def of_side(self, side: str) -> NDArray[np.int64]:
        """The numbers of the patches whose pictures are on that side: train, validation or test."""
        wanted = np.array([picture.side == side for picture in self.plan.pictures], bool)
        return np.flatnonzero(wanted[self.picture]) if len(self) else np.zeros(0, np.int64)

    def runs(self, side: str | None = None) -> list[NDArray[np.int64]]:
        """Of clips: the numbers of the patches of one place in frames that follow each other, for each place.

        A clip with a frame that gave no patch has two runs for each place. Pictures that are no clip's have none.

        Args:
            side: train, validation or test. Defaults to all.
        """
        places: dict[tuple[str, tuple[int, ...]], list[tuple[int, int]]] = {}
        for patch, (index, box) in enumerate(zip(self.picture.tolist(), self.box.tolist(), strict=True)):
            picture = self.plan.pictures[index]
            if picture.clip and side in (None, picture.side):
                places.setdefault((picture.clip, tuple(box)), []).append((picture.number, patch))
        runs: list[list[int]] = []
        for frames in places.values():
            last = None
            for number, patch in sorted(frames):
                if last is None or number != last + 1:
                    runs.append([])
                runs[-1].append(patch)
                last = number
        return [np.array(run, np.int64) for run in runs]

    def damaged(self) -> Iterator[tuple[int, bool]]:
        """Read every patch: its number, and whether its pixels differ from the index."""
        for number in range(len(self)):
            found = hashlib.sha256(self.both(number).data).digest()
            yield number, found != self._hashes[number].tobytes()

    def _map(self, first: int) -> Image:
        path = shard_path(self.folder, first // self.plan.patches_per_shard)
        count = min(self.plan.patches_per_shard, len(self) - first)
        try:
            # A plain array, since slicing a memmap makes another memmap, which is slow.
            return np.asarray(np.memmap(path, np.uint8, "r", shape=(count, *self.plan.shape)))
        except (OSError, ValueError) as error:
            raise DataError(
                f"A shard must hold all the patches that its index lists. Received: {path} ({error}). {AGAIN}"
            ) from error


def is_packed(folder: Path) -> bool:
    """Whether ``folder`` is a packed set, complete or not."""
    return (folder / PLAN).is_file()


def open_shards(folder: Path) -> ShardSet:
    """Open a packed set without reading its pixels. An incomplete set contains the patches that count so far.

    Raises:
        UsageError: it is not a packed set.
        DataError: it is damaged.
    """
    folder = Path(folder)
    if not is_packed(folder):
        raise UsageError(
            f"A packed set is a folder with {PLAN}. Received: {folder}. Remedy: write it with 'quietcam data pack'."
        )
    plan = read_plan(folder)
    entries, ends = read_index(folder / INDEX, plan)
    content = (folder / INDEX).read_bytes()[: ends[-1]] if entries else b""
    digest = hashlib.sha256(content).hexdigest()
    complete = read_complete(folder)
    if complete is not None and complete.get("sha256") != digest:
        raise DataError(
            f"The index of a packed set must be the one that it was finished with. Received: {folder}. {AGAIN}"
        )
    return ShardSet(folder, plan, entries, digest, complete is not None)
