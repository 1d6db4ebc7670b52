"""Sequences of patches from clips: cut at one place from frames that follow each other."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quietcam.data.clips.clip import Clip
from quietcam.data.crops import Box, NoRoomError, choose_boxes
from quietcam.data.packed.reader import ShardSet
from quietcam.data.sets.problems import list_problems, log_problems
from quietcam.errors import DataError, UsageError
from quietcam.image import Image, as_channels
from quietcam.terminal.progress import progress

__all__ = ["ClipCropSource", "ClipCrops", "ClipShardSource", "ClipSource", "cut_clips"]

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ClipCrops:
    """Crops of clips, each at one place in all of its frames.

    Attributes:
        sequences: of each place uint8 ``(T, 2, size, size, C)``, RGB or gray, noisy before clean.
        source: name of the clip and box, for each of them.
        problems: what was skipped, one line each.
    """

    sequences: list[Image]
    source: list[tuple[str, Box]]
    problems: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.sequences))


class ClipSource(ABC):
    """Runs of patches that follow each other in a clip, all at one place.

    Args:
        lengths: how many patches each run has.
        side: of a stored patch in pixels, at least that of the training patches.
        channels: 3 for RGB, 1 for grayscale.
    """

    def __init__(self, lengths: Sequence[int], side: int, channels: int) -> None:
        self.lengths, self.side, self.channels = np.asarray(lengths, np.int64), side, channels

    def __len__(self) -> int:
        """The number of patches."""
        return int(self.lengths.sum())

    def pairs(self, numbers: Numbers, passes: Numbers) -> list[Image]:  # noqa: ARG002  every pass is alike
        """Patches without their order, as every source gives them."""
        ends = np.cumsum(self.lengths)
        runs = np.searchsorted(ends, numbers, "right")
        places = numbers - ends[runs] + self.lengths[runs]
        return [self.patches(run, places[i : i + 1])[0] for i, run in enumerate(runs.tolist())]

    @abstractmethod
    def patches(self, run: int, places: Numbers) -> list[Image]:
        """Noisy and clean at these places of a run: each uint8 ``(2, side, side, channels)``."""


class ClipCropSource(ClipSource):
    """Crops of clips that are held in memory."""

    def __init__(self, crops: ClipCrops) -> None:
        self._sequences = crops.sequences
        _, _, side, _, channels = crops.sequences[0].shape
        super().__init__([len(each) for each in crops.sequences], side, channels)

    def patches(self, run: int, places: Numbers) -> list[Image]:
        """Views of the crops."""
        return [self._sequences[run][place] for place in places.tolist()]


class ClipShardSource(ClipSource):
    """Clips of a packed set.

    Args:
        runs: the numbers of the patches of each run, as ``ShardSet.runs`` gives them.
    """

    def __init__(self, shards: ShardSet, runs: Sequence[Numbers]) -> None:
        self._shards, self._runs = shards, runs
        super().__init__([len(run) for run in runs], shards.plan.patch, shards.plan.channels)

    def patches(self, run: int, places: Numbers) -> list[Image]:
        """Views of the mapped files."""
        return [self._shards.both(number) for number in self._runs[run][places].tolist()]


def cut_clips(
    clips: Sequence[Clip],
    size: int,
    *,
    frames: int,
    limit: int,
    per_clip: int = 1,
    seed: int = 0,
    channels: int = 3,
) -> ClipCrops:
    """Cut square crops of ``size`` pixels from clips, up to ``limit`` altogether, so that they fit into memory.

    If there are more, each clip gives fewer places, then fewer frames, but not less than ``frames``, then some clips
    give none. Which ones, only names and ``seed`` decide. A clip that cannot be used is skipped, listed
    in ``problems``, and logged.

    Args:
        frames: that are wanted at least of a clip that has them.
        per_clip: the most places of one clip.

    Raises:
        NoRoomError: all clips that can be used are smaller than a crop.
        DataError: no clip can be used.
    """
    drawn = sorted(clips, key=lambda clip: _digest(f"{seed}:{clip.name}"))
    chosen = sorted(drawn[: max(1, limit // max(1, frames))], key=lambda clip: clip.name)
    budget = max(1, limit // max(1, len(chosen)))
    sequences: list[Image] = []
    source: list[tuple[str, Box]] = []
    problems: list[str] = []
    most = 0
    with progress("Cutting crops of clips", sum(map(len, chosen))) as bar:
        for clip in chosen:
            count = min(len(clip), max(budget, frames))
            places = min(per_clip, max(1, budget // count))
            first = int.from_bytes(_digest(f"{seed}:{clip.name}:first")[:8], "little") % (len(clip) - count + 1)
            try:
                boxes, cut = _cut(clip, first, count, size, places, f"{seed}:{clip.name}", channels)
                sequences += cut
                source += [(clip.name, box) for box in boxes]
            except (DataError, UsageError) as error:
                problems.append(f"{clip.name}: {error}")
                most = max(most, error.most if isinstance(error, NoRoomError) else 0)
            bar.advance(len(clip))
    if not sequences:
        message = (
            f"At least one clip must give patches of {size}x{size} pixels. Received: "
            f"{list_problems(problems) or 'no clips'}. Remedy: repair these clips, or choose a smaller patch."
        )
        raise NoRoomError(message, most) if most else DataError(message)
    log_problems(problems, "while cutting crops of clips")
    return ClipCrops(sequences, source, problems)


def _cut(
    clip: Clip, first: int, count: int, size: int, places: int, key: str, channels: int
) -> tuple[list[Box], list[Image]]:
    """Boxes, and of each uint8 ``(count, 2, size, size, channels)``. No more than one pair of frames is held."""
    boxes: list[Box] = []
    cut: list[Image] = []
    shape: tuple[int, ...] = ()
    for index, pair in enumerate(clip.pairs[first : first + count]):
        sides = pair.read()
        if not index:
            shape = sides[0].shape
            boxes = choose_boxes(shape, size, places, key)
            if not boxes:
                raise NoRoomError(f"{shape[1]}x{shape[0]} is smaller than a patch of {size}x{size}", min(shape[:2]))
            cut = [np.empty((count, 2, size, size, channels), np.uint8) for _ in boxes]
        if sides[0].shape != shape:
            height, width = sides[0].shape[:2]
            raise DataError(f"{pair.name} has {width}x{height}, and frames before it {shape[1]}x{shape[0]}")
        for (x0, y0, x1, y1), room in zip(boxes, cut, strict=True):
            for side in (0, 1):
                room[index, side] = as_channels(sides[side][y0:y1, x0:x1], channels)
    return boxes, cut


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="surrogateescape")).digest()
