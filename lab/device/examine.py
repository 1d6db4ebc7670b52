"""Examine: what is on the disk of a guest whose power was cut, read on the host. No code of quietcam takes part."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.guest import Guest
from lab.tools import find

__all__ = ["Disk", "Found", "Stored", "Update", "look", "open_disk", "read_pictures", "read_update", "read_videos"]

_NAME = re.compile(r"(\d{10})_[0-9TZ.-]+")
_JPEG_END = b"\xff\xd9"
_GROWING = "_recording."
_PLACE = "/var/lib/private/quietcam"
"""Where systemd keeps `/var/lib/quietcam` of a service with a user of its own."""
FACTORY = "factory"
"""What the state of updates calls the models that ship."""


@dataclass(frozen=True)
class Disk:
    """A raw copy of a disk after its journal was replayed.

    Attributes:
        path: of the copy.
        faults: what `e2fsck` could not set right by itself; empty if nothing.
    """

    path: Path
    faults: str

    def fetch(self, inside: str, folder: Path) -> Path:
        """Copy a folder of the disk below ``folder``; returns the copy, which is empty if the disk has none."""
        folder.mkdir(parents=True, exist_ok=True)
        _run("debugfs", "-R", f"rdump {inside} {folder}", str(self.path))
        found = folder / Path(inside).name
        found.mkdir(exist_ok=True)
        return found


def open_disk(overlay: Path, folder: Path) -> Disk:
    """Copy a guest's disk, and let `e2fsck` do what it does at a boot: replay the journal, mend what is safe."""
    raw = folder / "cut.raw"
    raw.unlink(missing_ok=True)
    done = _run("qemu-img", "convert", "-O", "raw", str(overlay), str(raw))
    if done.returncode != 0:
        raise LabError(f"qemu-img cannot read the disk after the cut: {done.stderr.strip()[-300:]}")
    checked = _run("e2fsck", "-f", "-p", str(raw))  # 0: clean, 1: mended as at any boot, more: a person is needed
    return Disk(raw, "" if checked.returncode <= 1 else (checked.stdout + checked.stderr).strip()[-400:])


@dataclass(frozen=True)
class Stored:
    """Entries of a spool or a recording.

    Attributes:
        frames: how many frames of each entry decode, by its number.
        hashes: SHA-256 of each entry that is finished, by its name.
        faults: names of entries that do not decode, and why.
    """

    frames: Mapping[int, int] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def since(self, number: int) -> int:
        """Frames of the entries with this number or a higher one."""
        return sum(frames for each, frames in self.frames.items() if each >= number)

    @property
    def following(self) -> int:
        """The number after the last entry that has frames."""
        return max((each for each, frames in self.frames.items() if frames), default=-1) + 1


def read_pictures(folder: Path) -> Stored:
    """All JPEG files of a spool, decoded to their last byte."""
    import cv2
    import numpy as np

    frames, hashes, faults = {}, {}, []
    for path in sorted(folder.iterdir()):
        if (name := _NAME.match(path.name)) is None:
            continue
        data = path.read_bytes()
        whole = data.endswith(_JPEG_END) and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
        faults += [] if whole else [f"{path.name}: {len(data)} bytes that are no picture"]
        frames[int(name[1])] = int(whole)
        hashes[path.name] = hashlib.sha256(data).hexdigest()
    return Stored(frames, hashes, tuple(faults))


def read_videos(folder: Path) -> Stored:
    """All segments of a recording, decoded frame by frame. The one that grew at the cut may be empty."""
    import av

    frames, hashes, faults = {}, {}, []
    for path in sorted(folder.iterdir()):
        if (name := _NAME.match(path.name)) is None:
            continue
        growing = _GROWING in path.name
        count, why = 0, ""
        try:
            with av.open(str(path)) as video:
                for _ in video.decode(video=0):
                    count += 1
        except (av.FFmpegError, IndexError) as error:  # IndexError: it has no picture in it
            why = f"{path.name}: {type(error).__name__} after {count} frames"
        if why and (count or not growing):
            faults.append(why)
        frames[int(name[1])] = count
        if not growing:
            hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Stored(frames, hashes, tuple(faults))


@dataclass(frozen=True)
class Update:
    """What a device has installed.

    Attributes:
        version: of the bundle in use; ``factory`` for the models that ship.
        history: time, event and version of each entry, the newest last.
        faults: why the bundle in use is not whole, or the state cannot be read.
    """

    version: str = FACTORY
    history: tuple[tuple[float, str, str], ...] = ()
    faults: tuple[str, ...] = ()


def read_update(folder: Path) -> Update:
    """The state of updates, and every byte of the bundle that it names, by the sizes and SHA-256 that were signed."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
        current = state["current"]
        history = tuple((each["time"], each["event"], each["version"]) for each in state["history"])
    except (OSError, ValueError, KeyError) as error:
        return Update(faults=(f"state.json: {type(error).__name__}: {error}",))
    if current == FACTORY:
        return Update(FACTORY, history)
    installed = state["slots"][current]
    return Update(installed["version"], history, tuple(_bundle_faults(folder / "slots" / current, installed["digest"])))


@dataclass(frozen=True)
class Found:
    """What is on a disk: faults of its file system, what is stored and recorded, what is installed."""

    faults: str = ""
    spool: Stored = field(default_factory=Stored)
    record: Stored = field(default_factory=Stored)
    update: Update = field(default_factory=Update)


def look(guest: Guest) -> Found:
    """The disk of a guest that is off, read on the host."""
    folder = guest.folder / "disk"
    disk = open_disk(guest.disk, guest.disk.parent)
    try:
        place = disk.fetch(_PLACE, folder)
        for name in ("spool", "record", "update"):
            (place / name).mkdir(exist_ok=True)
        return Found(
            disk.faults, read_pictures(place / "spool"), read_videos(place / "record"), read_update(place / "update")
        )
    finally:
        disk.path.unlink()
        shutil.rmtree(folder, ignore_errors=True)


def _bundle_faults(slot: Path, digest: str) -> list[str]:
    try:
        described = (slot / "bundle.json").read_bytes()
        if hashlib.sha256(described).hexdigest() != digest:
            return [f"{slot.name}/bundle.json is another one"]
        files: dict[str, Any] = json.loads(described)["files"]
        return [
            f"{slot.name}/{path} is not what was signed"
            for path, said in files.items()
            if hashlib.sha256((slot / path).read_bytes()).hexdigest() != said["sha256"]
        ]
    except (OSError, ValueError, KeyError) as error:
        return [f"{slot.name}: {type(error).__name__}: {error}"]


def _run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nice", find(program) or program, *words], capture_output=True, text=True, check=False, errors="replace"
    )
