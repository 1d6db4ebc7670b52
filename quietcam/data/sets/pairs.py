"""Finds pairs of a noisy picture and its clean twin in folders, archives and block files."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quietcam.data.pictures.files import Place, read_picture
from quietcam.data.pictures.formats import count_unread
from quietcam.data.sets.contents import Contents, list_contents
from quietcam.data.sets.layout import Layout, layout_file, read_layout
from quietcam.data.sets.matfile import Blocks
from quietcam.data.sets.problems import Problem, list_problems, log_problems
from quietcam.data.sets.sidd import Instance
from quietcam.data.sets.sides import SIDES, Sides, instance_name, side_of_folder, sort_into_sides
from quietcam.errors import DataError, UsageError
from quietcam.image import Image

__all__ = [
    "Listing",
    "Pair",
    "PairList",
    "find_pairs",
    "list_data",
    "nothing_left",
]

_LAYOUTS = (
    "folders noisy/ and clean/ (or noisy/ gt/, lq/ gt/, input/ target/, low/ high/) with equal file names, files "
    "x_real.jpg and x_mean.jpg, SIDD's instance folders with NOISY_SRGB_010.PNG and GT_SRGB_010.PNG, a zip of these, "
    "or SIDD's validation blocks (.mat)"
)


@dataclass(frozen=True)
class Pair:
    """One noisy picture and its clean twin.

    Attributes:
        name: unique in its data set; starts with the instance's name if that is known.
        noisy: where the noisy picture is read from.
        clean: where the clean picture is read from.
        instance: the facts in its SIDD name, or None.
        group: name of the pairs with which it may share a scene, if ``instance`` is None; or None. All of SIDD's
            validation blocks are one group: some of its pictures show one scene, and the files do not say which.
            All frames of a clip are one group, together with other clips of its scene.
        clip: name of the clip that it is a frame of (``quietcam.data.clips``), or None.
    """

    name: str
    noisy: Place
    clean: Place
    instance: Instance | None = None
    group: str | None = None
    clip: str | None = None

    @property
    def scene(self) -> str:
        """SIDD's scene number, "001"; without it the group; without that the pair's own name."""
        return self.instance.scene if self.instance else self.group or self.name

    @property
    def phone(self) -> str | None:
        """SIDD's two letters for the phone that took it, "S6"; None if its name does not state it."""
        return self.instance.phone if self.instance else None

    @property
    def iso(self) -> int | None:
        """Its ISO number; None if its name does not state it."""
        return self.instance.iso if self.instance else None

    def read(self) -> tuple[Image, Image]:
        """Read both pictures: noisy, clean, each uint8 ``(H, W, 3)`` RGB, of the same size.

        Raises:
            DataError: one of them cannot be used, or their sizes differ.
            UsageError: one of them no longer exists.
        """
        noisy, clean = read_picture(self.noisy), read_picture(self.clean)
        if noisy.shape != clean.shape:
            raise DataError(
                f"A noisy picture and its clean twin must have the same size. Received: {self.name}, noisy "
                f"{noisy.shape[1]}x{noisy.shape[0]} and clean {clean.shape[1]}x{clean.shape[0]}. "
                "Remedy: crop both to the same region, or remove them from the data."
            )
        return noisy, clean


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


@dataclass(frozen=True)
class Listing:
    """The contents of a data set, found without opening a picture.

    Attributes:
        pairs: sorted by name.
        noisy_only: names and places of pictures whose clean twins were not published (SIDD's benchmark).
        problems: what had to be skipped, and why.
        folders: how many pictures are directly in each folder.
        sides: the names of the sides for an error message, if a user gave them.
    """

    pairs: list[Pair]
    noisy_only: list[tuple[str, Place]]
    problems: list[Problem]
    folders: dict[str, int] = field(default_factory=dict)
    sides: str = ""


def find_pairs(path: Path, layout: Layout | None = None) -> PairList:
    """Find all pairs of a data set, without opening a picture, and log what had to be skipped.

    A data set is a folder, a zip archive, which is read in place, and a ``.mat`` file of SIDD's blocks. In the first
    two, at any depth, names in upper or lower case:

    - folders ``noisy`` and ``clean`` side by side, or other usual names of the two (``quietcam.data.sets.layout``),
      with equal file names (suffixes may differ, and so may a word such as NOISY, GT or CLEAN in the name);
    - SIDD's instance folders, which hold ``NOISY_SRGB_010.PNG`` and ``GT_SRGB_010.PNG``, with or without the
      instance's number in front;
    - twins in one folder that differ in such a word, as PolyU's ``x_Real.JPG`` and ``x_mean.JPG``.

    Frames of a clip (``quietcam.data.clips``) are pairs of one scene.

    If ``quietcam data index`` has kept a user's own names of the sides, these replace the usual ones. A folder may also
    contain ``.mat`` files of SIDD's blocks.

    Raises:
        UsageError: there is no such data set.
        DataError: no pair is left, or the archive or ``.mat`` file cannot be used.
    """
    path = Path(path)
    listing = list_data(path, layout)
    if not listing.pairs:
        raise nothing_left(path, listing)
    problems = [str(problem) for problem in listing.problems]
    log_problems(problems, f"of the data set in {path}")
    return PairList(listing.pairs, problems)


def list_data(path: Path, layout: Layout | None = None) -> Listing:
    """List what a data set holds, even if it holds no pair, and what is wrong with it.

    Args:
        path: as for ``find_pairs``.
        layout: names of the sides. Defaults to those that were kept with the data set, else the usual ones.

    Raises:
        UsageError: there is no such data set.
        DataError: the archive or ``.mat`` file cannot be used, or it is unclear which folder is which side.
    """
    path = Path(path)
    if layout is not None and path.suffix.lower() == ".mat":
        raise UsageError(
            f"`noisy` and `clean` apply to folders and archives. Received: {path}, a .mat file. Remedy: leave both out."
        )
    contents = list_contents(path)
    problems = contents.problems
    pairs, noisy_only = _join_blocks(contents.arrays, path, problems)
    named = layout or read_layout(path)
    found = sort_into_sides(contents.entries, contents.root) if named is None else named.sort(contents.entries)
    joined = (_join(name, sides, contents, problems) for name, sides in sorted(found.items()))
    pairs += [pair for pair in joined if pair is not None]
    problems += [Problem("not read", name, detail) for name, detail in count_unread(contents.unread)]
    folders = Counter(entry.path.parent.as_posix() for entry in contents.entries)
    sides = "" if named is None else f"`noisy` {named.noisy} and `clean` {named.clean}"
    if named is not None and layout is None:
        sides += f" (kept in {layout_file(path)})"
    return Listing(sorted(pairs, key=lambda pair: pair.name), noisy_only, problems, dict(folders), sides)


def _join_blocks(
    arrays: list[Blocks], root: Path, problems: list[Problem]
) -> tuple[list[Pair], list[tuple[str, Place]]]:
    """Join the arrays of blocks in one folder to pairs; also return the blocks that never had a clean twin."""
    sets: dict[tuple[Path, str], dict[str, Blocks]] = {}
    for array in arrays:
        sides = sets.setdefault((array.file.parent, array.dataset), {})
        if array.side in sides:
            problems.append(Problem("ambiguous", array.file.name, f"{array.variable} is in two files of the folder"))
        sides.setdefault(array.side, array)
    pairs: list[Pair] = []
    noisy_only: list[tuple[str, Place]] = []
    for (parent, dataset), sides in sorted(sets.items()):
        below = parent.relative_to(root).as_posix() if root.is_dir() else "."
        prefix = "" if below == "." else f"{below}/"
        noisy, clean = sides.get("noisy"), sides.get("clean")
        if noisy and clean and noisy.shape == clean.shape:
            places = zip(noisy.places(), clean.places(), strict=True)
            group = f"SIDD {dataset.lower()}"
            pairs += [Pair(prefix + name, place, twin, group=group) for (name, place), (_, twin) in places]
        elif noisy and clean:
            problems.append(
                Problem("size", f"{prefix}{dataset}", f"noisy blocks {noisy.shape} and clean blocks {clean.shape}")
            )
        elif noisy:
            noisy_only += [(prefix + name, place) for name, place in noisy.places()]
            if dataset != "Benchmark":  # whose clean blocks were never published
                problems.append(Problem("missing twin", prefix + noisy.file.name, "no clean twin"))
        elif clean:
            problems.append(Problem("missing twin", prefix + clean.file.name, "no noisy twin"))
    return pairs, noisy_only


def _join(name: str, sides: Sides, contents: Contents, problems: list[Problem]) -> Pair | None:
    for side, other in (SIDES, reversed(SIDES)):
        if side not in sides:
            problems.append(Problem("missing twin", str(sides[other][0].path), f"no {side} twin"))
            return None
    # Copies of one picture in two places, as in an archive that was unpacked twice: one place is used.
    doubled = next((side for side in SIDES if len(sides[side]) > 1), None)
    if doubled is not None:
        listed = " and ".join(str(entry.path) for entry in sides[doubled][:2])
        ambiguous = any(len({entry.path.parent for entry in entries}) < len(entries) for entries in sides.values())
        what = "and it is unknown which one is meant" if ambiguous else "of which one is used"
        detail = f"{len(sides[doubled])} {doubled} pictures of that name, {what} ({listed})"
        problems.append(Problem("ambiguous", name, detail))
        if ambiguous:
            return None
    noisy = sides["noisy"][0]
    clean = next((entry for entry in sides["clean"] if entry.path.parent == noisy.path.parent), sides["clean"][0])
    owner = instance_name(noisy.path, contents.root)
    folder = next((folder for folder in noisy.path.parents if folder in contents.clips), None)
    clip = None if folder is None else folder.as_posix() if folder.parts else contents.root
    scene = None if folder is None else contents.clips[folder] or clip
    return Pair(name, noisy.place, clean.place, Instance.parse(owner) if owner else None, scene, clip)


def nothing_left(path: Path, listing: Listing) -> DataError:
    """Why ``path`` holds no pair, as the error to raise."""
    problems = [str(problem) for problem in listing.problems]
    archive = next((file for file in sorted(path.glob("*.zip")) if path.is_dir()), None)
    remedy = (
        f"give the archive itself, {archive}."
        if archive
        else "arrange the pictures in this way, or give another folder."
    )
    if problems:
        received = f"{path}, where all {len(problems)} had to be skipped: {list_problems(problems)}"
    elif listing.noisy_only:
        received = f"{path}, {len(listing.noisy_only)} noisy pictures whose clean twins were never published"
        remedy = "give SIDD's validation blocks, which have them."
    elif side_of_folder(path.resolve().name) is not None:
        received = f"{path}, which is only one side"
        remedy = "give the folder above it."
    elif listing.folders:
        listed = ", ".join(f"{folder}/ ({count})" for folder, count in sorted(listing.folders.items())[:8])
        none = f"where no picture matches {listing.sides}" if listing.sides else "with none"
        received = f"{path}, {none}; its pictures lie in {listed}"
        remedy = f"name its two sides: quietcam data index {shlex.quote(str(path))} --noisy FOLDER --clean FOLDER"
    else:
        received = f"{path}, with none"
    return DataError(f"A data set must hold pairs: {_LAYOUTS}. Received: {received}. Remedy: {remedy}")
