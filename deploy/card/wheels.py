"""The folder of wheels that `quietcam card fetch` fills: ``wheels.json`` says for which system, and what is in it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.card.systems import SYSTEMS, System
from quietcam.errors import JsonError, UsageError
from quietcam.files.atomic import write_json
from quietcam.files.strict_json import read_object

__all__ = ["LIST", "Wheel", "WheelSet", "hash_of", "read_wheels", "write_list"]

LIST = "wheels.json"
_FILE = re.compile(r"[A-Za-z0-9][\w.+!-]*\.whl", re.ASCII)
_PROJECT = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Wheel:
    """One wheel: its file, what it installs, and the SHA-256 of its bytes."""

    file: str
    project: str
    version: str
    sha256: str


@dataclass(frozen=True)
class WheelSet:
    """All that pip needs to install quietcam on ``system`` without a network.

    Attributes:
        extras: the extras of quietcam, as ``("edge", "mqtt")``.
    """

    system: System
    extras: tuple[str, ...]
    wheels: tuple[Wheel, ...]

    def requirements(self) -> str:
        """A requirements file with the version and the hash of each wheel: pip takes these bytes and no others."""
        lines = []
        for wheel in sorted(self.wheels, key=lambda each: each.file):
            extras = f"[{','.join(self.extras)}]" if wheel.project == "quietcam" else ""
            words = [f"{wheel.project}{extras}=={wheel.version}", f"--hash=sha256:{wheel.sha256}"]
            lines.append(" ".join(words) + "\n")
        return "".join(lines)


def write_list(folder: Path, found: WheelSet) -> None:
    """Write ``wheels.json``: from then on the folder counts as complete."""
    wheels = [vars(wheel) for wheel in sorted(found.wheels, key=lambda each: each.file)]
    write_json(folder / LIST, {"for": found.system.name, "extras": list(found.extras), "wheels": wheels})


def read_wheels(folder: Path) -> WheelSet:
    """Read a folder of wheels, and check the hash of each.

    Raises:
        UsageError: it has no valid ``wheels.json``, or a wheel is missing or damaged.
    """
    try:
        found = _parse(read_object(folder / LIST))
    except (OSError, JsonError, KeyError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"`wheels` is a folder that `quietcam card fetch` filled. Received: {folder}: {LIST}: {reason}. "
            f"Remedy: quietcam card fetch --for trixie-arm64 --out {folder}"
        ) from None
    for wheel in found.wheels:
        path = folder / wheel.file
        if not path.is_file() or hash_of(path) != wheel.sha256:
            raise UsageError(
                f"Each wheel must be as it was fetched. Received: {path}, which is missing or damaged. "
                f"Remedy: quietcam card fetch --for {found.system.name} --out {folder}"
            )
    return found


def hash_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(values: dict[str, Any]) -> WheelSet:
    wheels = tuple(_wheel(each) for each in values["wheels"])
    if sum(wheel.project == "quietcam" for wheel in wheels) != 1:
        raise ValueError("it must list one wheel of quietcam")
    if len({wheel.file.casefold() for wheel in wheels}) < len(wheels):  # FAT knows no upper and lower case
        raise ValueError("it lists a file twice")
    extras = tuple(_matched(_PROJECT, each) for each in values["extras"])
    return WheelSet(SYSTEMS[values["for"]], extras, wheels)


def _wheel(values: dict[str, Any]) -> Wheel:
    return Wheel(
        _matched(_FILE, values["file"]),
        _matched(_PROJECT, values["project"]),
        _matched(_VERSION, values["version"]),
        _matched(_SHA256, values["sha256"]),
    )


def _matched(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not valid there")
    return value
