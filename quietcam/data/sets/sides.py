"""Finds which pictures are noisy, which are clean and which form pairs, by the usual names of folders and files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from quietcam.data.pictures.files import Place
from quietcam.data.sets.sidd import Instance
from quietcam.errors import DataError

__all__ = ["SIDES", "Entry", "Sides", "add_entry", "instance_name", "side_of_folder", "sort_into_sides"]

SIDES = ("noisy", "clean")

_FIRST = {"noisy": "noisy", "noise": "noisy", "clean": "clean", "gt": "clean", "groundtruth": "clean"}
_USUAL = {
    **_FIRST,
    **dict.fromkeys(("lq", "low", "input", "degraded", "corrupted"), "noisy"),
    **dict.fromkeys(("hq", "high", "target", "reference", "ref", "label", "original"), "clean"),
}
_IN_FILES = {**_USUAL, "real": "noisy", "mean": "clean"}  # "real" and "mean" as in PolyU and Nam
_DECORATION = re.compile(r"[ _.-](crop|cropped|image|img|patche?|frame|png|jpe?g|s?rgb)s?$")

_SIDD_FILE = re.compile(r"(?:(.+)_)?(NOISY|GT)_SRGB_(\d+)", re.IGNORECASE)
_WORDS = "|".join(sorted(_IN_FILES, key=len, reverse=True))
_LAST_WORD = re.compile(rf"(.+)[ _.-]({_WORDS})", re.IGNORECASE)
_FIRST_WORD = re.compile(rf"({_WORDS})[ _.-](.+)", re.IGNORECASE)
_WORD_IN_STEM = re.compile(rf"(?:^|(?<=[_.-]))(?:{_WORDS})(?:[_.-]|$)|[_.-](?:{_WORDS})$", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A picture: its path below the data set's root, and where it is read from."""

    path: PurePath
    place: Place


Sides = dict[str, list[Entry]]
"""The pictures of one name, by side."""


def side_of_folder(name: str) -> str | None:
    """The side that a folder's name stands for by itself: "noisy" for ``Noisy``, "clean" for ``GT``."""
    return _FIRST.get(_word(name))


def sort_into_sides(entries: Sequence[Entry], root: str) -> dict[str, Sides]:
    """The pictures of a data set by the name of their pair and by side; those without a known name are left out.

    Args:
        entries: all pictures.
        root: the data set's own name, which may be that of an instance of SIDD.

    Raises:
        DataError: folders side by side claim to be the same side.
    """
    found: dict[str, Sides] = {}
    folders = _folders(entries, _FIRST)
    rest = [entry for entry in entries if not _sort(found, entry, _by_folder(entry.path, folders))]
    rest = [entry for entry in rest if not _sort(found, entry, _by_sidd(entry.path, root))]
    folders = _folders(rest, _USUAL, {folder[:-1] for folder in folders})
    rest = [entry for entry in rest if not _sort(found, entry, _by_folder(entry.path, folders))]
    _add_by_words(found, rest)
    return _match_loosely(found)


def _sort(found: dict[str, Sides], entry: Entry, side_and_name: tuple[str, str] | None) -> bool:
    """Add a picture if its side and name are known; return whether they are."""
    if side_and_name is None:
        return False
    add_entry(found, *side_and_name, entry)
    return True


def add_entry(found: dict[str, Sides], side: str, name: str, entry: Entry) -> None:
    """Add a picture to ``found``, under the name of its pair."""
    # One name may be written in two ways, as macOS and others do with accents.
    found.setdefault(unicodedata.normalize("NFC", name), {}).setdefault(side, []).append(entry)


def _word(folder: str) -> str:
    """``Ground_Truth`` as "groundtruth", ``input_crops`` as "input", ``targets`` as "target"."""
    word = re.sub(r"[ _.-]", "", _DECORATION.sub("", folder.lower()))
    return word.removesuffix("s")


def _folders(
    entries: Iterable[Entry], words: dict[str, str], settled: Container[tuple[str, ...]] = ()
) -> dict[tuple[str, ...], str]:
    """The side of each folder that is a side: noisy/ and clean/ always, others only if both sides have the same parent.

    Folders inside ``settled`` folders are not sides.
    """
    children: dict[tuple[str, ...], set[str]] = {}
    for entry in entries:
        parts = entry.path.parts[:-1]
        for depth in range(len(parts)):
            children.setdefault(parts[:depth], set()).add(parts[depth])
    found: dict[tuple[str, ...], str] = {}
    for parent, names in children.items():
        if parent in settled:
            continue
        sides: dict[str, list[str]] = {side: [] for side in SIDES}
        for name in sorted(names):
            if name.lower() in SIDES:
                found[(*parent, name)] = name.lower()
            if (side := words.get(_word(name))) is not None:
                sides[side].append(name)
        if not all(sides.values()):
            continue
        for side, claimed in sides.items():
            if len({name.lower() for name in claimed}) > 1:
                there = ", ".join(f"{'/'.join((*parent, name))}/" for each in sides.values() for name in each)
                raise DataError(
                    "A data set must have one noisy and one clean folder side by side. Received: "
                    f"{there}; {' and '.join(claimed)} could both be the {side} side. "
                    "Remedy: name the right ones: quietcam data index DATA --noisy FOLDER --clean FOLDER"
                )
            found |= {(*parent, name): side for name in claimed}
    return found


def _by_folder(path: PurePath, folders: dict[tuple[str, ...], str]) -> tuple[str, str] | None:
    parts = path.parts
    for depth in reversed(range(len(parts) - 1)):
        if (side := folders.get(parts[: depth + 1])) is not None:
            return side, "/".join((*parts[:depth], *parts[depth + 1 : -1], path.stem))
    return None


def _by_sidd(path: PurePath, root: str) -> tuple[str, str] | None:
    match = _SIDD_FILE.fullmatch(path.stem)
    if match is None:
        return None
    prefix, word, number = match.groups(default="")
    if Instance.parse(prefix):
        owner = prefix
    else:
        owner = instance_name(path, root) or "/".join(path.parts[:-1])
        if not owner.startswith(prefix):
            owner = f"{owner}/{prefix}".lstrip("/")
    return _FIRST[word.lower()], f"{owner}_{number}".lstrip("_")


def instance_name(path: PurePath, root: str) -> str | None:
    """The file's own name, or else the nearest folder's, the root's included, that starts as an instance's does."""
    names = (path.stem, *reversed(path.parts[:-1]), root)
    return next((name for name in names if Instance.parse(name)), None)


def _add_by_words(found: dict[str, Sides], rest: list[Entry]) -> None:
    """Twins in one folder that differ in a word at the end or start: ``x_Real.JPG`` and ``x_mean.JPG``.

    Where a folder has such twins, other files with one of their words are twins whose other half is missing.
    """
    groups: dict[tuple[PurePath, str], list[tuple[str, str, Entry]]] = {}
    for entry in rest:
        stem = entry.path.stem
        if last := _LAST_WORD.fullmatch(stem):
            name, word = last[1], last[2].lower()
        elif first := _FIRST_WORD.fullmatch(stem):
            name, word = first[2], first[1].lower()
        else:
            continue
        groups.setdefault((entry.path.parent, name.casefold()), []).append((word, name, entry))
    used: dict[PurePath, set[str]] = {}
    for (parent, _), members in groups.items():
        if len({_IN_FILES[word] for word, _, _ in members}) == len(SIDES):
            used.setdefault(parent, set()).update(word for word, _, _ in members)
    for (parent, _), members in groups.items():
        whole = "/".join((*parent.parts, members[0][1]))
        for word, _, entry in members:
            if word in used.get(parent, ()):
                add_entry(found, _IN_FILES[word], whole, entry)


def _match_loosely(found: dict[str, Sides]) -> dict[str, Sides]:
    """Match names that are on one side only a second time: without the side's word, and in lower case."""
    matched = {name: sides for name, sides in found.items() if len(sides) == len(SIDES)}
    loose: dict[str, list[str]] = {}
    for name in sorted(found.keys() - matched.keys(), key=lambda name: "noisy" not in found[name]):
        loose.setdefault(_short(name).casefold(), []).append(name)
    for names in loose.values():
        sides = {side: entries for name in names for side, entries in found[name].items()}
        short = _short(names[0])
        if len(names) == len(sides) == len(SIDES) and short not in matched:
            matched[short] = sides
        else:
            matched |= {name: found[name] for name in names}
    return matched


def _short(name: str) -> str:
    parent, slash, stem = name.rpartition("/")
    return parent + slash + (_WORD_IN_STEM.sub("", stem) or stem)
