"""Finds the noisy pictures of a data set, with or without clean twins, for calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quietcam.data.clips.mark import MARK
from quietcam.data.pictures.files import Place
from quietcam.data.pictures.folder import list_pictures
from quietcam.data.sets.pairs import Pair, list_data, nothing_left
from quietcam.data.sets.problems import log_problems
from quietcam.data.sets.sidd import Instance
from quietcam.data.sets.sides import side_of_folder
from quietcam.data.sets.split import pairs_of_side
from quietcam.errors import DataError, UsageError
from quietcam.files.strict_json import read_object

__all__ = ["CAPTURE", "NoisyPicture", "NoisySet", "find_noisy", "noisy_of_clip_folder", "noisy_of_pairs"]

CAPTURE = "capture.json"
"""File next to captured frames that records their source, and whether the camera denoised them itself."""


@dataclass(frozen=True)
class NoisyPicture:
    """One noisy picture.

    Attributes:
        name: unique in its data set.
        place: where it is read from.
        instance: what SIDD's name of it says, or None.
        scene: the scene that it may share with other pictures; its own name where the scene is unknown.
        clean: where its clean twin is read from, or None.
    """

    name: str
    place: Place
    instance: Instance | None
    scene: str
    clean: Place | None = None


@dataclass(frozen=True)
class NoisySet:
    """Noisy pictures sorted by name, and what ``quietcam capture`` noted about them, or None."""

    pictures: list[NoisyPicture]
    capture: dict[str, Any] | None = None


def find_noisy(path: Path, side: str = "all") -> NoisySet:
    """Find all noisy pictures of a data set, without opening one.

    These are the noisy sides of pairs, where ``find_pairs`` finds any; else SIDD's noisy blocks without a twin; else
    the noisy frames of clips without clean twins; else the pictures directly in the folder, or in a ``noisy`` folder in
    it.

    Args:
        side: of pairs, as ``pairs_of_side`` takes it.

    Raises:
        UsageError: there is no such data set, or ``side`` is not ``all`` and the pictures have no twins.
        DataError: it holds no noisy picture, or cannot be read.
    """
    path = Path(path)
    listing = list_data(path)
    if listing.pairs:
        log_problems([str(problem) for problem in listing.problems], f"of the data set in {path}")
        return NoisySet(noisy_of_pairs(pairs_of_side(listing.pairs, side)))
    if listing.noisy_only:
        pictures = [NoisyPicture(name, place, None, name) for name, place in listing.noisy_only]
    elif path.is_dir() and side_of_folder(path.resolve().name) != "clean":
        clips = list(noisy_of_clip_folder(path))
        pictures = [frame for _, frames in clips for frame in frames] or _lying_in(path)
    else:
        raise nothing_left(path, listing)
    if side != "all":
        raise UsageError(
            f"Only pairs are split by scene. Received: `split={side}`, and {path}, pictures without clean twins. "
            "Remedy: leave `split` out."
        )
    return NoisySet(pictures, _told_by_captures(path))


def noisy_of_pairs(pairs: Sequence[Pair]) -> list[NoisyPicture]:
    """The noisy sides of pairs."""
    return [NoisyPicture(pair.name, pair.noisy, pair.instance, pair.scene, pair.clean) for pair in pairs]


def noisy_of_clip_folder(path: Path) -> Iterator[tuple[str, list[NoisyPicture]]]:
    """The clips without clean twins at any depth of a folder: name and frames, both in the order of their names.

    The frames lie beside a ``clip.json``, or in a folder ``noisy`` beside it. A clip is one scene.
    """
    for mark in sorted(path.rglob(MARK)):
        folder = mark.parent
        clip = folder.relative_to(path).as_posix() if folder != path else ""
        frames = _lying_in(folder)
        prefix = f"{clip}/" if clip else ""
        yield (
            clip,
            [NoisyPicture(prefix + each.name, each.place, None, clip or path.resolve().name) for each in frames],
        )


def _lying_in(folder: Path) -> list[NoisyPicture]:
    sides = sorted(each for each in folder.iterdir() if side_of_folder(each.name) == "noisy" and each.is_dir())
    paths = list_pictures(sides[0] if len(sides) == 1 else folder)
    stems = Counter(path.stem for path in paths)
    found = []
    for path in paths:
        name = path.name if stems[path.stem] > 1 else path.stem
        instance = Instance.parse(name)
        found.append(NoisyPicture(name, path, instance, instance.scene if instance else name))
    return sorted(found, key=lambda picture: picture.name)


def _told_by_captures(folder: Path) -> dict[str, Any] | None:
    """What a capture noted; of several, what one noted whose camera denoised by itself, if there is one."""
    here = folder / CAPTURE
    files = (
        [here] if here.is_file() else [file for mark in folder.rglob(MARK) if (file := mark.parent / CAPTURE).is_file()]
    )
    told = [_told_by_capture(file) for file in sorted(files)]
    return min(told, key=lambda each: {True: 0, None: 1}.get(each["isp_denoise"], 2), default=None)


def _told_by_capture(path: Path) -> dict[str, Any]:
    try:
        told = read_object(path)
        keys = ("source", "isp_denoise", "quietcam")
        return {key: told[key] for key in keys}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{CAPTURE} must have the form that `quietcam capture` writes. Received: {path}, which has not. "
            "Remedy: capture again, or remove that file: the pictures are enough."
        ) from error
