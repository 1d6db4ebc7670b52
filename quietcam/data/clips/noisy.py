"""The noisy frames of clips, in order, with or without clean twins: what calibration on clips reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from quietcam.data.clips.clip import group_clips
from quietcam.data.clips.mark import MARK
from quietcam.data.sets.noisy_pictures import NoisyPicture, noisy_of_clip_folder, noisy_of_pairs
from quietcam.data.sets.pairs import list_data
from quietcam.data.sets.problems import log_problems
from quietcam.data.sets.split import pairs_of_side
from quietcam.errors import DataError, UsageError
from quietcam.files.paths import lack

__all__ = ["NoisyClip", "find_noisy_clips"]

_LAST_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class NoisyClip:
    """One clip without its clean side.

    Attributes:
        name: its folder's path below the data set; empty if it is the data set.
        frames: in order, two or more.
    """

    name: str
    frames: tuple[NoisyPicture, ...]

    def __len__(self) -> int:
        return len(self.frames)


def find_noisy_clips(path: Path, side: str = "all") -> list[NoisyClip]:
    """The clips of a data set, sorted by name, without opening a frame. What cannot be used is skipped and logged.

    These are clips of pairs, as ``quietcam.data.clips.clip`` describes them, where there are any. Otherwise a clip is
    a folder with ``clip.json`` and the noisy frames alone, beside that file or in a folder ``noisy``: as ``quietcam
    capture`` writes a clip.

    Args:
        side: of pairs, as ``pairs_of_side`` takes it.

    Returns:
        An empty list if the data set holds no clip.

    Raises:
        UsageError: there is no such data set, or ``side`` is not ``all`` and the clips have no clean twins.
        DataError: clips are there, and none can be used.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"A data set of clips must exist. Received: {path}, {lack(path)}. Remedy: check the path.")
    listing = list_data(path)
    clips, problems = group_clips(pairs_of_side(listing.pairs, side)) if listing.pairs else ([], [])
    found = [NoisyClip(clip.name, tuple(noisy_of_pairs(clip.pairs))) for clip in clips]
    told = [str(problem) for problem in problems]
    if not listing.pairs and path.is_dir():
        for name, listed in noisy_of_clip_folder(path):
            frames = sorted(listed, key=_number)
            if wrong := _wrong(frames):
                told.append(f"{name or path}: {wrong}")
            else:
                found.append(NoisyClip(name, tuple(frames)))
        if found and side != "all":
            raise UsageError(
                f"Only pairs are split by scene. Received: `split={side}`, and {path}, clips without clean twins. "
                "Remedy: leave `split` out."
            )
    if told and not found:
        raise DataError(f"A clip must be usable. Received: {'; '.join(told[:3])}")
    log_problems(told, f"of the clips in {path}")
    return found


def _wrong(frames: list[NoisyPicture]) -> str:
    """What is wrong with the numbers of a clip's frames, and what to do; empty where nothing is."""
    numbers = [_number(frame) for frame in frames]
    if len(numbers) < 2:
        return f"a clip must have two frames or more, and this one has {len(numbers)}. Remedy: remove its {MARK}"
    if numbers[0] < 0:
        return "the names of a clip's frames must end in a number. Remedy: rename them to 0000.png, 0001.png, ..."
    for number, expected in zip(numbers, range(numbers[0], numbers[0] + len(numbers)), strict=True):
        if number != expected:
            return (
                f"a clip's frames must be numbered once each without a gap, and {expected} is not. Remedy: put it "
                f"right, or make two clips, each in a folder with a {MARK}"
            )
    return ""


def _number(frame: NoisyPicture) -> int:
    match = _LAST_NUMBER.search(frame.name.rpartition("/")[2])
    return -1 if match is None else int(match[1])
