"""Pairs of a noisy picture and its clean twin, found in the folders that people have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quietcam.data.pictures import is_picture, read_picture
from quietcam.data.sidd import Instance
from quietcam.errors import DataError, UsageError
from quietcam.image import Image
from quietcam.progress import say

__all__ = ["Pair", "PairList", "find_pairs", "list_problems", "read_pair", "say_problems"]

_SIDES = ("noisy", "clean")
_SIDE_OF_WORD = {"noisy": "noisy", "gt": "clean", "clean": "clean"}
_SIDD_FILE = re.compile(r"(?:(.+)_)?(NOISY|GT)_SRGB_(\d+)", re.IGNORECASE)
_WORD_IN_STEM = re.compile(r"(?:^|(?<=[_.-]))(?:NOISY|GT|CLEAN)(?:[_.-]|$)|[_.-](?:NOISY|GT|CLEAN)$", re.IGNORECASE)
_PROBLEMS_SAID = 5

_LAYOUTS = (
    "folders noisy/ and clean/ with equal file names, or SIDD's instance folders "
    "with NOISY_SRGB_010.PNG and GT_SRGB_010.PNG"
)

_Sides = dict[str, list[Path]]
"""The files that one name has on each side."""


@dataclass(frozen=True)
class Pair:
    """One noisy picture and its clean twin.

    Attributes:
        name: unique in its data set; starts with the instance's name where that is known.
        noisy: path of the noisy picture.
        clean: path of the clean one.
        instance: what SIDD's naming tells, or None.
    """

    name: str
    noisy: Path
    clean: Path
    instance: Instance | None = None

    @property
    def scene(self) -> str:
        """SIDD's scene number, "001"; else the pair's own name, since nothing tells what else shows the same."""
        return self.instance.scene if self.instance else self.name


@dataclass(frozen=True)
class PairList:
    """The pairs of a data set, sorted by name, and what was skipped: one line each."""

    pairs: list[Pair]
    problems: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


def find_pairs(folder: Path) -> PairList:
    """Find all pairs below ``folder``, without opening a picture, and say what had to be skipped.

    Understood, at any depth, names in upper or lower case: folders ``noisy`` and ``clean`` side by side, with equal
    file names (suffixes may differ, and so may a word NOISY, GT or CLEAN in the name); SIDD's instance folders, which
    hold ``NOISY_SRGB_010.PNG`` and ``GT_SRGB_010.PNG``, with or without the instance's number in front.

    Raises:
        UsageError: the folder is missing.
        DataError: no pair is left.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing there"
        raise UsageError(
            f"A data set must be a folder that exists. Received: {folder} ({what}). Remedy: check the path."
        )
    problems: list[str] = []
    found: dict[str, _Sides] = {}
    for path in _walk(folder, problems):
        if (place := _place(path, folder)) is not None:
            side, name = place
            found.setdefault(name, {}).setdefault(side, []).append(path)
    joined = (_join(name, sides, folder, problems) for name, sides in sorted(_match_loosely(found).items()))
    pairs = [pair for pair in joined if pair is not None]
    if not pairs:
        raise _nothing_left(folder, problems)
    say_problems(problems, f"of the data set in {folder}")
    return PairList(pairs, problems)


def read_pair(pair: Pair) -> tuple[Image, Image]:
    """Read both pictures: noisy, clean, each uint8 ``(H, W, 3)`` RGB, of one size.

    Raises:
        DataError: one cannot be used, or their sizes differ.
        UsageError: one is gone.
    """
    noisy, clean = read_picture(pair.noisy), read_picture(pair.clean)
    if noisy.shape != clean.shape:
        raise DataError(
            f"A noisy picture and its clean twin must have one size. Received: {pair.name}, noisy "
            f"{noisy.shape[1]}x{noisy.shape[0]} and clean {clean.shape[1]}x{clean.shape[0]}. "
            "Remedy: crop both to the same region, or take them out."
        )
    return noisy, clean


def say_problems(problems: list[str], where: str) -> None:
    """Say once how many were skipped and name the first few; nothing when there are none."""
    if problems:
        say(f"Skipped {len(problems)} {where}:")
        for problem in problems[:_PROBLEMS_SAID]:
            say(f"  {problem}")
        if len(problems) > _PROBLEMS_SAID:
            say(f"  and {len(problems) - _PROBLEMS_SAID} more")


def list_problems(problems: list[str]) -> str:
    """The first few problems, for one line of an error."""
    first = "; ".join(problem.rstrip(".") for problem in problems[:3])
    return first + (f" (and {len(problems) - 3} more)" if len(problems) > 3 else "")


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Every picture below ``folder``, links followed, hidden folders and macOS's left out."""

    def unreadable(error: OSError) -> None:
        problems.append(f"{error.filename}: the folder cannot be read ({error.strerror})")

    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116  (a link may lead back up: each folder is entered once)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            path = Path(parent, name)
            if is_picture(path) and path.is_file():
                yield path


def _place(path: Path, folder: Path) -> tuple[str, str] | None:
    """The side of a picture and the name of its pair; None when it belongs to no known layout."""
    parts = path.relative_to(folder).parts
    for depth in reversed(range(len(parts) - 1)):
        if parts[depth].lower() in _SIDES:
            return parts[depth].lower(), "/".join((*parts[:depth], *parts[depth + 1 : -1], path.stem))
    match = _SIDD_FILE.fullmatch(path.stem)
    if match is None:
        return None
    prefix, word, number = match.groups(default="")
    if Instance.parse(prefix):
        owner = prefix
    else:
        owner = _instance_name(path, folder) or "/".join(parts[:-1])
        if not owner.startswith(prefix):
            owner = f"{owner}/{prefix}".lstrip("/")
    return _SIDE_OF_WORD[word.lower()], f"{owner}_{number}".lstrip("_")


def _match_loosely(found: dict[str, _Sides]) -> dict[str, _Sides]:
    """Give names that stand on one side alone a second chance, without the word NOISY, GT or CLEAN in them."""
    matched = {name: sides for name, sides in found.items() if len(sides) == len(_SIDES)}
    loose: dict[str, list[str]] = {}
    for name in found.keys() - matched.keys():
        parent, slash, stem = name.rpartition("/")
        loose.setdefault(parent + slash + (_WORD_IN_STEM.sub("", stem) or stem), []).append(name)
    for short, names in loose.items():
        sides = {side: paths for name in names for side, paths in found[name].items()}
        if len(names) == len(sides) == len(_SIDES) and short not in matched:
            matched[short] = sides
        else:
            matched |= {name: found[name] for name in names}
    return matched


def _join(name: str, sides: _Sides, folder: Path, problems: list[str]) -> Pair | None:
    for side, other in (_SIDES, reversed(_SIDES)):
        if side not in sides:
            problems.append(f"{sides[other][0].relative_to(folder)}: no {side} twin")
            return None
    # Copies of one picture in two places, as in an archive that was unpacked twice: one place is used.
    doubled = next((side for side in _SIDES if len(sides[side]) > 1), None)
    if doubled is not None:
        listed = " and ".join(str(path.relative_to(folder)) for path in sides[doubled][:2])
        ambiguous = any(len({path.parent for path in paths}) < len(paths) for paths in sides.values())
        what = "which one is meant is not known" if ambiguous else "one place is used"
        problems.append(f"{name}: {len(sides[doubled])} {doubled} pictures of that name, {what} ({listed})")
        if ambiguous:
            return None
    noisy = sides["noisy"][0]
    clean = next((path for path in sides["clean"] if path.parent == noisy.parent), sides["clean"][0])
    owner = _instance_name(noisy, folder)
    return Pair(name, noisy, clean, Instance.parse(owner) if owner else None)


def _instance_name(path: Path, folder: Path) -> str | None:
    """The file's own name, or else the nearest folder's, ``folder`` included, that starts as an instance's does."""
    names = (path.stem, *reversed(path.relative_to(folder).parts[:-1]), folder.resolve().name)
    return next((name for name in names if Instance.parse(name)), None)


def _nothing_left(folder: Path, problems: list[str]) -> DataError:
    if problems:
        received = f"{folder}, where all {len(problems)} had to be skipped: {list_problems(problems)}"
    elif folder.name.lower() in _SIDES:
        received = f"{folder}, one side alone. Remedy: give the folder above it"
        return DataError(f"A data set must hold pairs: {_LAYOUTS}. Received: {received}.")
    else:
        received = f"{folder}, with none"
    return DataError(
        f"A data set must hold pairs: {_LAYOUTS}. Received: {received}. "
        "Remedy: arrange the pictures so, or give another folder."
    )
