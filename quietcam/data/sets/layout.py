"""Stores and reads a user's own names for the noisy and the clean side of a data set."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from quietcam.data.pictures.formats import PICTURE_SUFFIXES
from quietcam.data.sets.sides import SIDES, Entry, Sides, add_entry
from quietcam.errors import DataError, UsageError
from quietcam.files.atomic import write_json
from quietcam.files.strict_json import read_object

__all__ = [
    "LAYOUT",
    "Layout",
    "inside",
    "layout_file",
    "read_layout",
    "write_layout",
]

LAYOUT = "quietcam-layout.json"
"""Name of the file with the names of the sides: in the folder, or next to an archive, prefixed with its name."""


@dataclass(frozen=True)
class Layout:
    """The sides of a data set by a user's own names.

    Each is a folder's name, such as ``noisy25`` or ``data/low``, or a pattern in which ``*`` stands for what both files
    of a pair have in common: ``*_5000.JPG``, ``short/*_00``. Upper and lower case and the suffix do not matter.
    """

    noisy: str
    clean: str

    def __post_init__(self) -> None:
        for side in SIDES:
            pattern = getattr(self, side)
            if not re.sub(r"[*/\s]", "", pattern):
                raise UsageError(
                    f"`{side}` is a folder's name, or a pattern in which * stands for the part that both files of a "
                    f"pair share. "
                    f"Received: {pattern!r}. Remedy: for example `noisy` low and `clean` high."
                )
        if self.noisy.lower() == self.clean.lower():
            raise UsageError(
                f"The noisy and the clean side must have different names. Received: {self.noisy} for both. "
                "Remedy: give `noisy` and `clean` a name each."
            )

    def sort(self, entries: Iterable[Entry]) -> dict[str, Sides]:
        """Pictures by the name of their pair and by side; those on neither side are left out.

        Raises:
            UsageError: a picture is on both sides.
        """
        found: dict[str, Sides] = {}
        for entry in entries:
            if (side_and_name := self.side_and_name(entry.path)) is not None:
                add_entry(found, *side_and_name, entry)
        return found

    def side_and_name(self, path: PurePath) -> tuple[str, str] | None:
        """The side of a picture and the name of its pair; None if it is on neither side.

        Raises:
            UsageError: it is on both.
        """
        stem = path.with_suffix("").as_posix()
        found = [(side, match) for side in SIDES if (match := _compiled(getattr(self, side)).fullmatch(stem))]
        if len(found) > 1:
            raise UsageError(
                f"A picture must be on one side only. Received: {path}, which `noisy` {self.noisy} and `clean` "
                f"{self.clean} both match. Remedy: choose names that do not overlap."
            )
        return next(((side, "/".join(part for part in match.groups() if part)) for side, match in found), None)


def _compiled(pattern: str) -> re.Pattern[str]:
    pattern = pattern.strip().replace("\\", "/").removeprefix("./")
    folder = "*" not in pattern or pattern.endswith("/")
    pattern = pattern.strip("/")
    if not folder and PurePath(pattern).suffix.lower() in PICTURE_SUFFIXES:
        pattern = pattern[: -len(PurePath(pattern).suffix)]
    parts = "(.*)".join(re.escape(part) for part in pattern.split("*"))
    return re.compile(rf"(?:(.*)/)?{parts}{'/(.+)' if folder else ''}", re.IGNORECASE)


def inside(data: Path, pattern: str) -> str:
    """A side's name relative to ``data``: shell completion may have added the path of ``data`` in front."""
    path = PurePath(pattern)
    if path == data or not path.is_relative_to(data):
        return pattern
    return path.relative_to(data).as_posix() + ("/" if pattern.endswith("/") else "")


def layout_file(data: Path) -> Path:
    """Where the layout of a data set is kept."""
    return data / LAYOUT if data.is_dir() else data.with_name(f"{data.name}.{LAYOUT}")


def read_layout(data: Path) -> Layout | None:
    """The layout that ``write_layout`` kept, or None.

    Raises:
        DataError: the file is not in that form.
    """
    path = layout_file(data)
    if not path.is_file():
        return None
    try:
        told = read_object(path)
        return Layout(str(told["noisy"]), str(told["clean"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"The names of the sides must be as `quietcam data index` wrote them. Received: {path}, which is not. "
            "Remedy: remove it, or write it again: "
            f"quietcam data index {shlex.quote(str(data))} --noisy NAME --clean NAME"
        ) from error


def write_layout(data: Path, layout: Layout) -> Path:
    """Keep the layout of a data set, so that every command uses it. Returns the path of the file.

    Raises:
        StorageError: it cannot be written.
    """
    path = layout_file(data)
    write_json(path, {"noisy": layout.noisy, "clean": layout.clean})
    return path
