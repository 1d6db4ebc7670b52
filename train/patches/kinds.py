"""What a network takes from a data set: pictures, and, if it remembers, clips.

For a still network the frames of a clip are pictures like any other. For a video network they are clips, and only the
other pairs are pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quietcam.architecture import Architecture
from quietcam.data.clips.clip import Clip, group_clips
from quietcam.data.crops import Crops, NoRoomError, cut_crops
from quietcam.data.packed.reader import ShardSet
from quietcam.data.sets.pairs import Pair
from quietcam.data.sets.problems import log_problems
from quietcam.terminal.log import log
from train.config import RunConfig
from train.patches.clips import ClipCrops, ClipCropSource, ClipShardSource, cut_clips
from train.patches.sources import CropSource, PatchSource, ShardSource

__all__ = [
    "AnyCrops",
    "cut_to_train",
    "cut_to_validate",
    "kinds_of",
    "packed_to_train",
    "packed_to_validate",
    "source_of",
]

AnyCrops = Crops | ClipCrops
Numbers = NDArray[np.int64]

_MOST_CROPS = 4000
"""Most crops of pictures in memory, and most of frames. 256x256 RGB pairs take 1.5 GiB."""

_VALIDATION_CROPS, _VALIDATION_CLIPS = 24, 8
_VALIDATION_FRAMES = 32
"""Most frames of a clip that validation measures."""


def cut_to_train(pairs: Sequence[Pair], config: RunConfig) -> list[AnyCrops]:
    """Crops of the pictures, of the clips, or of both, as many as fit into memory.

    Raises:
        DataError: no crop is left.
    """
    settings = config.training
    how: dict[str, int] = {"seed": settings.seed, "channels": config.model.channels}
    stills, clips = kinds_of(pairs, config.model)
    found: list[AnyCrops] = []
    if stills or not clips:
        cut_stills = partial(cut_crops, stills, per_picture=settings.crops_per_picture, limit=_MOST_CROPS, **how)
        found.append(_cut(cut_stills, config))
    if clips:
        frames = config.video.unroll + config.video.lead
        cut_all = partial(
            cut_clips, clips, frames=frames, limit=_MOST_CROPS, per_clip=settings.crops_per_picture, **how
        )
        cut = _cut(cut_all, config)
        taken = len({name for name, _ in cut.source}) + len(cut.problems)
        if taken < len(clips):
            log.warning(
                "%d of %d clips fit into memory, and only they are trained on. To train on all of them, pack them with "
                "'quietcam data pack', or lower `crop`.",
                taken,
                len(clips),
            )
        found.append(cut)
    return found


def cut_to_validate(
    pairs: Sequence[Pair], config: RunConfig, name: str, pictures: int = _VALIDATION_CROPS, whole: bool = False
) -> dict[str, AnyCrops]:
    """A few crops by the name of their set, which is ``name``; the clips of a set with both have a name of their own.

    Args:
        pictures: the most crops of pictures.
        whole: whether the set is only for validation, so that more of its clips are used.

    Raises:
        DataError: no crop is left.
    """
    how: dict[str, int] = {"seed": config.training.seed, "channels": config.model.channels}
    stills, clips = kinds_of(pairs, config.model)
    found: dict[str, AnyCrops] = {}
    if stills or not clips:
        found[name] = _cut(partial(cut_crops, stills, limit=pictures, **how), config)
    if clips:
        frames = min(_VALIDATION_FRAMES, max(map(len, clips)))
        limit = frames * _VALIDATION_CLIPS * (4 if whole else 1)
        found[_clips_name(name, bool(stills))] = _cut(
            partial(cut_clips, clips, frames=frames, limit=limit, **how), config
        )
    return found


_Cut = TypeVar("_Cut", Crops, ClipCrops)


def _cut(cut: Callable[[int], _Cut], config: RunConfig) -> _Cut:
    """Crops of the config's side. Where no picture is that large, of the largest side that one has, at least a patch.

    Args:
        cut: makes crops of that side in pixels.
    """
    most, least, stride = config.training.crop, config.training.patch, config.model.stride
    try:
        return cut(most)
    except NoRoomError as error:
        side = max(least, error.most // stride * stride)
        if side >= most:
            raise
        found = cut(side)
        log.info("no picture has room for crops of %dx%d: they are cut to %dx%d", most, most, side, side)
        return found


def source_of(crops: AnyCrops) -> PatchSource:
    """Crops as a source of training patches."""
    return ClipCropSource(crops) if isinstance(crops, ClipCrops) else CropSource(crops)


def packed_to_train(shards: ShardSet, numbers: Numbers, sides: Sequence[str], config: RunConfig) -> list[PatchSource]:
    """The sources of a packed set.

    Args:
        numbers: its patches to train on. sides: the sides that these are on.
    """
    if not config.model.history:
        return [ShardSource(shards, numbers)]
    found: list[PatchSource] = []
    stills = numbers[~_is_clips(shards)[numbers]]
    if len(stills):
        found.append(ShardSource(shards, stills))
    if runs := [run for side in sides for run in shards.runs(side)]:
        found.append(ClipShardSource(shards, runs))
    return found


def packed_to_validate(shards: ShardSet, numbers: Numbers, config: RunConfig, name: str) -> dict[str, AnyCrops]:
    """A few patches of these on the validation side, named as ``cut_to_validate`` names them."""
    stills = numbers[~_is_clips(shards)[numbers]] if config.model.history else numbers
    runs = shards.runs("validation") if config.model.history else []
    found: dict[str, AnyCrops] = {}
    if len(stills):
        chosen = _spread(stills.tolist(), _VALIDATION_CROPS)
        entries = [shards.entry(number) for number in chosen]
        pairs = np.stack([shards.both(number) for number in chosen])
        found[name] = Crops(pairs, [(entry.source, entry.box) for entry in entries])
    if runs:
        few = [run[:_VALIDATION_FRAMES].tolist() for run in _spread(runs, _VALIDATION_CLIPS)]
        entries = [shards.entry(run[0]) for run in few]
        sequences = [np.stack([shards.both(number) for number in run]) for run in few]
        clips = ClipCrops(sequences, [(entry.source, entry.box) for entry in entries])
        found[_clips_name(name, bool(len(stills)))] = clips
    return found


def kinds_of(pairs: Sequence[Pair], network: Architecture) -> tuple[Sequence[Pair], list[Clip]]:
    """The pairs that are pictures for this network, and the clips that it learns or is measured on."""
    if not network.history:
        return pairs, []
    clips, problems = group_clips(pairs)
    log_problems([str(problem) for problem in problems], "of the clips")
    return [pair for pair in pairs if pair.clip is None], clips


def _is_clips(shards: ShardSet) -> NDArray[np.bool_]:
    """Whether each patch is of a clip's frame."""
    return np.array([bool(picture.clip) for picture in shards.plan.pictures], np.bool_)[shards.picture]


def _clips_name(name: str, beside_pictures: bool) -> str:
    return f"{name} (clips)" if beside_pictures else name


_Item = TypeVar("_Item")


def _spread(items: Sequence[_Item], count: int) -> list[_Item]:
    """Up to ``count`` of these, spread evenly."""
    places = np.linspace(0, len(items), min(len(items), count), endpoint=False).astype(int)
    return [items[place] for place in places.tolist()]
