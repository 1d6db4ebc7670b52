"""The boot partition of a card: what it holds, and what it held before quietcam touched it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from deploy.card.firstrun import HOOK
from deploy.card.systems import CLOUD_INIT, FIRSTRUN
from quietcam.errors import JsonError, UsageError
from quietcam.files.paths import is_dir, is_file
from quietcam.files.strict_json import dump_json, read_object

__all__ = ["BEFORE", "FOLDER", "RECORD", "Boot", "Record", "sha256"]

FOLDER = "quietcam"
RECORD = f"{FOLDER}/card.json"
BEFORE = f"{FOLDER}/before"
"""Where the system's own files lie as they were."""

_LARGEST = 1 << 20  # bytes of a file of the system that is changed
_VERSION = 1


@dataclass(frozen=True)
class Record:
    """What ``card prepare`` did.

    Attributes:
        files: what we wrote, by path on the card, with the SHA-256 of its bytes. While a card is prepared again there
            are two: the old bytes and the new ones.
        changed: those of ``files`` that were there before. ``before`` holds their bytes as they were.
    """

    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()

    def to_bytes(self) -> bytes:
        """The file ``card.json``."""
        values = {"version": _VERSION, "files": self.files, "changed": sorted(self.changed)}
        return (dump_json(values, indent=2, sort_keys=True) + "\n").encode()

    def __or__(self, other: Record) -> Record:
        """A record that is true while the one turns into the other."""
        names = {**self.files, **other.files}
        both = {name: tuple(dict.fromkeys(other.files.get(name, ()) + self.files.get(name, ()))) for name in names}
        return Record(both, self.changed | other.changed)


class Boot:
    """A mounted boot partition.

    Attributes:
        root: where it is mounted.
        record: what an earlier ``card prepare`` did there; empty if there was none.

    Raises:
        UsageError: the folder is no boot partition of Raspberry Pi OS, or its record is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if not is_dir(root) or not any(is_file(root / name) for name in ("cmdline.txt", "meta-data")):
            raise UsageError(
                "`boot` is the mounted boot partition of a card with Raspberry Pi OS: it holds cmdline.txt. "
                f"Received: {root}. Remedy: write the card with the Raspberry Pi Imager, plug it in again, and name "
                "the folder where it appears, such as /media/you/bootfs"
            )
        self.record = self._read_record()

    @property
    def first_boot(self) -> str:
        """What this system runs at first boot: ``cloud-init`` or ``firstrun``."""
        seeds = [name for name in ("meta-data", "user-data") if is_file(self.root / name)]
        return CLOUD_INIT if len(seeds) == 2 else FIRSTRUN

    def original(self, name: str) -> bytes | None:
        """A file of the system as it was before quietcam touched it. None: there was none.

        Raises:
            UsageError: its copy is missing.
        """
        now = self.now(name)
        if now is None or not self.is_written(name, now):
            # The system changes cmdline.txt at its first boot, and may leave our words in it.
            is_cut = name == "cmdline.txt" and name in self.record.changed
            return now.replace(HOOK.encode(), b"") if is_cut and now is not None else now
        if name not in self.record.changed:
            return None
        before = self.now(f"{BEFORE}/{name}")
        if before is None:
            raise UsageError(
                f"The card must hold {BEFORE}/{name}, the file as it was. Received: a card without it. "
                "Remedy: write the card again"
            )
        return before

    def is_written(self, name: str, content: bytes) -> bool:
        """Whether ``content`` is what we wrote to this file."""
        return sha256(content) in self.record.files.get(name, ())

    def now(self, name: str) -> bytes | None:
        """A file as it is. None: there is none."""
        path = self.root / name
        if not is_file(path):
            return None
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"A text of the boot partition must have at most 1 MiB. Received: {path}.")
        return path.read_bytes()

    def _read_record(self) -> Record:
        if not is_file(self.root / RECORD):
            return Record()
        try:
            values = read_object(self.root / RECORD)
            if values["version"] != _VERSION:
                raise ValueError("it was written by a later quietcam")
            return Record(_files(values["files"]), frozenset(map(str, values["changed"])))
        except (OSError, JsonError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{RECORD} must be as `quietcam card prepare` wrote it. Received: {self.root / RECORD}: {error}. "
                "Remedy: write the card again"
            ) from None


def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _files(values: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    if not all(_is_inside(name) for name in values):
        raise ValueError("it names files outside the card")
    return {name: tuple(map(str, hashes)) for name, hashes in values.items()}


def _is_inside(name: str) -> bool:
    """Whether a path of the record stays on the card."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts and "\0" not in name
