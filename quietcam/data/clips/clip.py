"""Clips of a data set: pairs of frames in order, and which of their pixels move.

A clip is a folder with ``clip.json``, in which the pairs are frames::

    clip_000007/
      clip.json             see quietcam.data.clips.mark
      noisy/0000.png ...    numbered without a gap; the first number is free
      clean/0000.png ...
      moving/0000.png ...   optional: white where a frame shows another thing than the one before
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.data.clips.mark import MARK
from quietcam.data.pictures.files import read_mask, read_picture
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.problems import Problem, list_problems, log_problems
from quietcam.data.sets.split import pairs_of_side
from quietcam.errors import DataError
from quietcam.image import Image
from quietcam.sensor.filming import find_moving

__all__ = ["VIDEO_STEP", "Clip", "ClipFrames", "ClipList", "group_clips", "load_clips", "number_of"]

VIDEO_STEP = 6
"""Steps of 255 by which the clean frames of a real clip differ where nothing moves: their own noise and compression.
Measured on three clips that were shrunk to half: where nothing moves, 99.9 % of the values lie within it."""

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True, eq=False)
class ClipFrames:
    """Frames of a clip, in order.

    Attributes:
        noisy, clean: uint8 ``(T, H, W, 3)`` RGB.
        moving: bool ``(T, H, W)``: which pixels show something else than in the frame before. All of the clip's first
            frame, and of one after a cut.
    """

    noisy: Image
    clean: Image
    moving: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.noisy)


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        name: its folder's path below the data set.
        scene: what splits keep together: the name in ``clip.json``, else its own.
        pairs: its frames, in order.
    """

    name: str
    scene: str
    pairs: tuple[Pair, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, first: int = 0, count: int | None = None) -> ClipFrames:
        """Read ``count`` frames from the one at ``first`` on, or fewer at the end. Defaults to all.

        Raises:
            DataError: a frame cannot be used, or the frames have different sizes.
            UsageError: one is gone.
        """
        last = len(self) if count is None else min(first + count, len(self))
        noisy: list[Image] = []
        clean: list[Image] = []
        masks: list[NDArray[np.bool_]] = []
        before = read_picture(self.pairs[first - 1].clean) if first else None
        for pair in self.pairs[first:last]:
            sides = pair.read()
            if noisy and sides[0].shape != noisy[0].shape:
                raise DataError(_sizes(self.name, pair.name, sides[0], noisy[0]))
            noisy.append(sides[0])
            clean.append(sides[1])
            masks.append(self._moving(pair, before, sides[1]))
            before = sides[1]
        return ClipFrames(np.stack(noisy), np.stack(clean), np.stack(masks))

    def _moving(self, pair: Pair, before: Image | None, now: Image) -> NDArray[np.bool_]:
        mask = _mask_of(pair)
        if mask is not None:
            found = read_mask(mask)
            if found.shape != now.shape[:2]:
                raise DataError(_sizes(self.name, str(mask), found, now))
            return found
        if before is None:
            return np.ones(now.shape[:2], np.bool_)
        if before.shape != now.shape:
            raise DataError(_sizes(self.name, pair.name, now, before))
        return find_moving(before, now, VIDEO_STEP)


@dataclass(frozen=True)
class ClipList:
    """The clips of a data set, sorted by name, and what was skipped: one line each."""

    clips: list[Clip]
    problems: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def __getitem__(self, index: int) -> Clip:
        return self.clips[index]


def load_clips(data: str | Path, *, split: str = "all") -> ClipList:
    """The clips of a data set. No frame is opened before a clip is read. What cannot be used is skipped and logged.

    Args:
        data: a folder or a ``.zip`` with clips at any depth, or the folder of one clip.
        split: ``all``, or a side as in ``load_pairs``. No clip, and no scene, is on two sides.

    Returns:
        Clips to iterate over. ``clip.read()`` gives ``noisy`` and ``clean``, each uint8 ``(T, H, W, 3)`` RGB, and
        ``moving``, bool ``(T, H, W)``: which pixels show something else than in the frame before. ``problems`` lists
        what was skipped.

    Raises:
        UsageError: there is no such data set, or no such side.
        DataError: it holds no clip that can be used.

    Example:
        >>> import quietcam
        >>> import tempfile
        >>> from pathlib import Path
        >>> from quietcam.data.clips.make import write_clips
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_clips(folder, count=1, frames=3, size=64)
        >>> for clip in quietcam.load_clips(folder):
        ...     frames = clip.read()
        ...     print(clip.name, frames.noisy.shape, frames.noisy.dtype, frames.moving.shape)
        clip_000000 (3, 64, 64, 3) uint8 (3, 64, 64)
    """
    data = Path(data)
    found = find_pairs(data)
    clips, problems = group_clips(pairs_of_side(found.pairs, split))
    told = [str(problem) for problem in problems]
    if not clips:
        received = list_problems(told) or f"{data}, where no folder holds {MARK}"
        remedy = (
            ""
            if told
            else (
                f" Remedy: write {{}} into a file {MARK} in the folder above noisy/ and clean/, or make clips: "
                "quietcam data generate --clips --out FOLDER"
            )
        )
        raise DataError(f"A data set of clips must hold at least one. Received: {received}.{remedy}")
    log_problems(told, f"of the clips in {data}")
    return ClipList(clips, [*found.problems, *told])


def group_clips(pairs: Sequence[Pair]) -> tuple[list[Clip], list[Problem]]:
    """The clips that pairs belong to, sorted by name, and the clips that cannot be used, and why."""
    by_clip: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.clip is not None:
            by_clip.setdefault(pair.clip, []).append(pair)
    clips: list[Clip] = []
    problems: list[Problem] = []
    for name, members in sorted(by_clip.items()):
        wrong = _wrong_numbers(members)
        if wrong:
            problems.append(Problem("clip", name, wrong))
        else:
            clips.append(Clip(name, members[0].scene, tuple(sorted(members, key=number_of))))
    return clips, problems


def number_of(pair: Pair) -> int:
    """The number of a clip's frame: the last one in its name; -1 where there is none."""
    match = _NUMBER.search(pair.name.rpartition("/")[2])
    return -1 if match is None else int(match[1])


def _wrong_numbers(pairs: Sequence[Pair]) -> str:
    """What is wrong with a clip's numbers, and what to do; empty where nothing is."""
    numbers = sorted(map(number_of, pairs))
    if numbers[0] < 0:
        return "the names of a clip's frames must end in a number. Remedy: rename them to 0000.png, 0001.png, ..."
    if len(numbers) == 1:
        return f"a clip must have two frames or more, and this one has one. Remedy: add frames, or remove its {MARK}"
    for sooner, later in itertools.pairwise(numbers):
        if later == sooner:
            return f"two frames of a clip have the number {later}. Remedy: rename one of them"
        if later > sooner + 1:
            missing = f"{sooner + 1}" if later == sooner + 2 else f"{sooner + 1} to {later - 1}"
            return (
                f"a clip's frames must be numbered without a gap, and {missing} is missing. Remedy: put it there, or "
                f"make two clips, each in a folder with a {MARK}"
            )
    return ""


def _mask_of(pair: Pair) -> Path | None:
    """The file that tells what moves in a frame, where there is one."""
    if not isinstance(pair.noisy, Path):
        return None
    mask = pair.noisy.parent.with_name("moving") / f"{pair.noisy.stem}.png"
    return mask if mask.is_file() else None


def _sizes(clip: str, name: str, one: NDArray[Any], other: NDArray[Any]) -> str:
    return (
        f"The frames of a clip must have one size. Received: {clip}, where {name} has {one.shape[1]}x{one.shape[0]} "
        f"and others {other.shape[1]}x{other.shape[0]}. Remedy: crop them to one size, or make two clips."
    )
