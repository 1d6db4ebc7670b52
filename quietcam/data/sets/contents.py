"""Lists the contents of a data set: every picture and every file of blocks in a folder, an archive or a .mat file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from quietcam.data.clips.mark import MARK, scene_of_mark
from quietcam.data.pictures.files import is_picture
from quietcam.data.pictures.formats import is_hidden, unread_by_name
from quietcam.data.sets.archive import Member, is_archive, list_members
from quietcam.data.sets.matfile import Blocks, is_blocks_file, read_blocks, swap_sides
from quietcam.data.sets.problems import Problem
from quietcam.data.sets.sides import Entry
from quietcam.errors import DataError, UsageError

__all__ = ["Contents", "list_contents"]


@dataclass(frozen=True)
class Contents:
    """The contents of a data set, found without opening a picture.

    Attributes:
        root: the data set's name: that of its folder, or of its file without suffix.
        entries: pictures with a file each, in a folder or an archive.
        arrays: SIDD's blocks, many pictures in one file.
        unread: photographs in formats that are not read.
        problems: folders and files that could not be listed, and why.
        clips: folders whose pictures are frames of a clip, and the scene of each; empty if its mark names none.
    """

    root: str
    entries: list[Entry] = field(default_factory=list)
    arrays: list[Blocks] = field(default_factory=list)
    unread: list[PurePath] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    clips: dict[PurePath, str] = field(default_factory=dict)


def list_contents(path: Path) -> Contents:
    """List a folder at any depth, a zip archive, or a ``.mat`` file of SIDD's blocks with the file of its other side.

    Raises:
        UsageError: there is no such data set.
        DataError: the archive or ``.mat`` file cannot be used.
    """
    found = Contents(path.resolve().name if path.is_dir() else path.stem)
    if path.is_dir():
        for file in _walk(path, found.problems):
            if file.name == MARK:
                _add_clip(found, file.relative_to(path).parent, file)
            elif is_picture(file):
                found.entries.append(Entry(file.relative_to(path), file))
            elif unread_by_name(file) is not None:
                found.unread.append(file.relative_to(path))
            else:
                found.arrays.extend(_blocks_in(file, path, found.problems))
    elif path.is_file() and path.suffix.lower() == ".mat":
        found.arrays.extend(read_blocks(path))
        twin = path.with_name(swap_sides(path.name))
        if twin != path and twin.is_file():
            found.arrays.extend(read_blocks(twin))
    elif is_archive(path):
        _add_members(path, found)
    else:
        what = "a file" if path.exists() else "nothing there"
        raise UsageError(
            f"A data set must be a folder, a .zip or a .mat file that exists. Received: {path} ({what}). "
            "Remedy: check the path."
        )
    return found


def _walk(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Every photograph and file of blocks below ``folder``. Follows links; skips hidden folders and those of macOS."""

    def unreadable(error: OSError) -> None:
        problems.append(Problem("unreadable", str(error.filename), f"the folder cannot be read ({error.strerror})"))

    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116  (a link may lead back up: each folder is entered once)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(files):
            path = Path(parent, name)
            known = is_picture(path) or is_blocks_file(path) or unread_by_name(path) or name == MARK
            if known and path.is_file():
                yield path


def _add_members(path: Path, found: Contents) -> None:
    """Add what an archive holds, without what lies in hidden folders."""
    for member in list_members(path):
        inside = PurePosixPath(member.path)
        if any(is_hidden(part) for part in inside.parts[:-1]):
            continue
        if inside.name == MARK:
            _add_clip(found, inside.parent, member)
        elif is_picture(inside):
            found.entries.append(Entry(inside, member))
        elif unread_by_name(inside) is not None:
            found.unread.append(inside)
        elif is_blocks_file(inside):
            found.problems.append(
                Problem("unreadable", member.path, "blocks cannot be read inside an archive: unpack it")
            )


def _add_clip(found: Contents, folder: PurePath, mark: Path | Member) -> None:
    """Add a clip. A mark that cannot be read is a problem; the clip's frames still belong together."""
    found.clips[folder] = ""
    try:
        found.clips[folder] = scene_of_mark(mark.read_bytes(), mark)
    except (DataError, OSError) as error:
        found.problems.append(Problem("clip", folder.as_posix(), str(error)))


def _blocks_in(file: Path, folder: Path, problems: list[Problem]) -> list[Blocks]:
    try:
        return read_blocks(file)
    except DataError as error:
        problems.append(Problem("unreadable", str(file.relative_to(folder)), str(error)))
        return []
