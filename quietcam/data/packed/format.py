"""Packed sets: patches in files of raw pixels that are mapped into memory, and an index that only grows.

A packed set is a folder:

    pack.json         the plan: the size of a patch, the seed, the pictures in their order; written first
    shard_00000.u8    per patch its noisy side, then its clean side, uint8 (patch, patch, channels); 256 MiB at most
    index.jsonl       per patch its source, instance, box and the SHA-256 of its pixels; or a source that was skipped
    complete.json     how many patches there are, and the SHA-256 of the index; written last

A patch counts if its whole line is in the index, and a line is written after its pixels are on the disk (fsync). So
the patches that count are always correct, whatever stops the packing, and the next run writes the others again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from quietcam.data.crops import Box
from quietcam.errors import DataError
from quietcam.files.strict_json import MOST_OF_A_LIST, dump_json, parse_object, read_object

__all__ = [
    "AGAIN",
    "COMPLETE",
    "INDEX",
    "PLAN",
    "Entry",
    "PackedPicture",
    "Plan",
    "read_complete",
    "read_index",
    "read_plan",
    "shard_path",
]

_FORMAT = 1
_SHARD_BYTES = 1 << 28
_MOST = 1 << 31  # of a patch or of patches

PLAN, INDEX, COMPLETE = "pack.json", "index.jsonl", "complete.json"
AGAIN = "Remedy: delete the folder and pack again."


@dataclass(frozen=True)
class PackedPicture:
    """One pair of pictures that a set is made of.

    Attributes:
        name: the pair's, unique in its data set.
        instance: SIDD's name of the scene instance; empty if there is none.
        scene: the scene that splits keep together.
        side: train, validation or test; empty if there were too few scenes to split.
        noisy_bytes: length of the noisy file, to notice that the file was replaced.
        clean_bytes: length of the clean file.
        clip: name of the clip that it is a frame of; empty where it is of none.
        number: of the frame in its clip.
    """

    name: str
    instance: str
    scene: str
    side: str
    noisy_bytes: int
    clean_bytes: int
    clip: str = ""
    number: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in ``pack.json``."""
        values = asdict(self)
        if not self.clip:  # as before there were clips
            del values["clip"], values["number"]
        return values


@dataclass(frozen=True)
class Plan:
    """The plan of a packed set. The same plan and the same pictures give the same bytes.

    Attributes:
        data: name of the data set's folder.
        patch: side of a patch in pixels.
        channels: 3 for RGB, 1 for grayscale.
        seed: decides the positions of patches; unused in a dense grid.
        per_picture: the most patches of one picture; None is a dense grid.
        split: the side that was packed, or all.
        rule: how the pictures were split into sides.
        pictures: in the order in which they are packed.
        patches_per_shard: how many each shard holds, except the last.
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
        """Shape of one patch in a shard: 2 for noisy and clean, rows, columns, channels."""
        return (2, self.patch, self.patch, self.channels)

    @property
    def patch_bytes(self) -> int:
        """Bytes of one patch in a shard, both sides."""
        return 2 * self.patch * self.patch * self.channels

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in ``pack.json``."""
        return {"format": _FORMAT, **asdict(self), "pictures": [picture.to_dict() for picture in self.pictures]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        """What ``to_dict`` gave."""
        known = {field.name: values[field.name] for field in fields(cls)}
        if not isinstance(known["pictures"], list):
            raise TypeError("pictures that are no list")
        plan = cls(**{**known, "pictures": tuple(PackedPicture(**each) for each in known["pictures"])})
        plan._check()
        return plan

    def _check(self) -> None:
        """Refuse a plan that no writer would write, since the file may come from anywhere."""
        sizes = (self.patch, self.patches_per_shard, 1 if self.per_picture is None else self.per_picture)
        if not all(type(each) is int and 0 < each < _MOST for each in sizes) or self.channels not in (1, 3):
            raise ValueError(f"patches of {self.patch} pixels and {self.channels} channels")
        words: list[object] = [self.data, self.split, self.rule]
        counts: list[object] = [self.seed, self.channels]
        for each in self.pictures:
            words += [each.name, each.instance, each.scene, each.side, each.clip]
            counts += [each.noisy_bytes, each.clean_bytes, each.number]
        if not all(type(each) is str for each in words) or not all(type(each) is int for each in counts):
            raise TypeError("a picture that is not described by texts and numbers")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the index: a patch, or a picture that gives none (``skipped`` says why).

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
        """The line of the index."""
        values = (
            {"source": self.source, "skipped": self.skipped}
            if self.skipped
            else {"source": self.source, "instance": self.instance, "box": self.box, "sha256": self.sha256}
        )
        return dump_json(values, ascii_only=False).encode() + b"\n"


def shard_path(folder: Path, number: int) -> Path:
    """The path of the shard with that number."""
    return folder / f"shard_{number:05d}.u8"


def read_plan(folder: Path) -> Plan:
    """The plan of a packed set.

    Raises:
        DataError: it is damaged, or of another format.
    """
    try:
        values = read_object(folder / PLAN, MOST_OF_A_LIST)
        if values["format"] != _FORMAT:
            raise DataError(
                f"A packed set must have format {_FORMAT}. Received: {folder} with format {values['format']}. {AGAIN}"
            )
        return Plan.from_dict(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder / PLAN} must be the plan of a packed set. Received: {error!r}. {AGAIN}") from error


def read_complete(folder: Path) -> dict[str, Any] | None:
    """What was recorded when the set was finished; None before.

    Raises:
        DataError: it is damaged.
    """
    path = folder / COMPLETE
    try:
        return read_object(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be readable. Received: {error}. {AGAIN}") from error


def read_index(path: Path, plan: Plan) -> tuple[list[Entry], list[int]]:
    """The entries before the first line that is incomplete or not of this plan, and the byte where each ends."""
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
    """One line of the index; None if it is not exactly what ``Entry.line`` writes."""
    try:
        values = parse_object(line)
        if "box" in values:
            x0, y0, x1, y1 = values["box"]
            values["box"] = (x0, y0, x1, y1)
        entry = Entry(**values)
        return entry if entry.line() == line else None
    except (ValueError, TypeError):
        return None
