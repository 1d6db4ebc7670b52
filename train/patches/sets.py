"""Opens, splits and mixes the data sets that a run trains and validates on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np

from quietcam.data.crops import Crops
from quietcam.data.frames import CleanFrames
from quietcam.data.generated import ORIGIN, make_generated_pair, read_band
from quietcam.data.packed.reader import ShardSet, is_packed, open_shards
from quietcam.data.sets.pairs import Pair, PairList, find_pairs
from quietcam.data.sets.problems import log_problems
from quietcam.data.sets.split import SIDES, SplitRule
from quietcam.errors import DataError, JsonError, UsageError
from quietcam.files.strict_json import MOST_OF_A_LIST, read_object
from quietcam.image import Image, as_channels
from quietcam.limits import read_number
from quietcam.metrics import finite_psnr
from quietcam.terminal.key_values import Key, parse_key_values, path_key
from train.config import RunConfig
from train.patches.clips import ClipCrops, ClipSource
from train.patches.kinds import (
    AnyCrops,
    cut_to_train,
    cut_to_validate,
    packed_to_train,
    packed_to_validate,
    source_of,
)
from train.patches.sources import Mixture, PatchSource, SceneSource
from train.run_directory.origin import Origin

__all__ = ["TrainingData", "load_training_data"]

_SCENES_HELD = 24
_WEIGHTS = 1e-6, 1e6
_WHOLE_SET_CROPS = 200  # from a folder that is only for validation
_SCENES = "scenes"
_SCENES_A_PASS = 10_000
_SCENE_KEYS = {
    "band": Key(read_band, "LOW:HIGH in dB, from 0 to 100"),
    "clean": path_key("a folder of clean pictures or a clean video"),
}
_VALIDATION_SEED = 1 << 40  # no training run reaches this seed


@dataclass(frozen=True)
class TrainingData:
    """Patches to train on, crops to validate on by the name of their set, and the origin of both.

    Use it as a context manager: it ends the worker processes that make scenes on the fly.
    """

    training: Mixture
    validation: dict[str, AnyCrops]
    origin: Origin

    def __enter__(self) -> TrainingData:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for source in self.training.sources:
            if isinstance(source, SceneSource):
                source.close()


@dataclass(frozen=True)
class _Part:
    """One data set: its training side, its validation side by name (empty: not asked for), and where it comes from."""

    name: str
    sources: Sequence[PatchSource]
    validation: Mapping[str, AnyCrops]
    origin: Origin
    instances: frozenset[str] = frozenset()


def load_training_data(
    texts: str | Path | Sequence[str | Path],
    config: RunConfig,
    validation: str | Path | Sequence[str | Path] = (),
) -> TrainingData:
    """Open data sets and mix them.

    Args:
        texts: one or several data sets, ``SOURCE`` or ``SOURCE@WEIGHT``: a folder of pairs, a packed set, or
            ``scenes``. A packed set keeps the sides that are noted in it; the others are split by scene as the config
            says.
        validation: folders of pairs that are used for validation, without a split. Then everything in ``texts`` is
            trained on, except the test scenes of the config's split. Defaults to the validation side of each of
            ``texts``.

    Raises:
        UsageError: a data set does not exist, or its name is wrong.
        DataError: nothing in a data set can be used, or a scene instance is on both sides.
    """
    texts, validation = ([each] if isinstance(each, str | Path) else each for each in (texts, validation))
    if not texts:
        raise UsageError("Training needs data. Received: none. Remedy: give `data` a folder, or scenes.")
    named = [_weighted(str(text)) for text in texts]
    parts = [_open(text, config, bool(validation)) for text, _ in named]
    _check_clips(parts, config)
    sets = {name: crops for part in parts for name, crops in part.validation.items()}
    if validation:
        _check_apart([text for text, _ in named], validation)
        sets = {name: crops for folder in validation for name, crops in _whole_set(Path(folder), config, parts).items()}
    # A data set's pictures and clips share its weight by their number.
    weighted = [
        (source, weight * len(source) / sum(map(len, part.sources)))
        for part, (_, weight) in zip(parts, named, strict=True)
        for source in part.sources
    ]
    training = Mixture(weighted)
    origin: Origin = {
        "data": ", ".join(dict.fromkeys(part.origin["data"] for part in parts)),
        "sources": [part.name for part in parts],
        "licence": "; ".join(dict.fromkeys(part.origin["licence"] for part in parts)),
        "split": config.training.split,
        "scenes": parts[0].origin["scenes"] if len(parts) == 1 else {p.name: p.origin["scenes"] for p in parts},
        "training_crops": len(training),
        "validation_crops": sum(map(len, sets.values())),
        "sha256": hashlib.sha256("".join(p.origin["sha256"] for p in parts).encode()).hexdigest(),
        "noisy_validation_psnr": round(float(np.mean([_mean_psnr(crops) for crops in sets.values()])), 3),
        "noisy_by_set": {name: _mean_psnr(crops) for name, crops in sets.items()},
    }
    if len(parts) > 1:
        shares = iter(training.shares)
        origin["shares"] = {part.name: round(sum(float(next(shares)) for _ in part.sources), 4) for part in parts}
    return TrainingData(training, sets, origin)


def _weighted(text: str) -> tuple[str, float]:
    """A source and its weight, 1 where none is given."""
    source, at, weight = text.rpartition("@")
    if not at or Path(text).exists():
        return text, 1.0
    try:
        float(weight)
    except ValueError:
        return text, 1.0
    try:
        return source, read_number(weight, *_WEIGHTS)
    except ValueError:
        raise UsageError(
            f"The weight of a data set must be a number from {_WEIGHTS[0]:g} to {_WEIGHTS[1]:g}. Received: {text}. "
            f"Remedy: for example {source}@2"
        ) from None


def _open(text: str, config: RunConfig, all_of_it: bool) -> _Part:
    if text == _SCENES or text.startswith(f"{_SCENES}:"):
        return _open_scenes(text, config)
    folder = Path(text)
    if is_packed(folder):
        return _open_packed(folder, config, all_of_it)
    found = find_pairs(folder)
    rule = SplitRule.parse(config.training.split or ("test=0,validation=0" if all_of_it else ""))
    split = rule.split(found.pairs)
    crops = cut_to_train(split.train, config)
    name = _name(folder)
    return _Part(
        name,
        [source_of(each) for each in crops],
        {} if all_of_it else cut_to_validate(split.validation, config, name),
        {
            **_origin_of(folder, found),
            "scenes": {side: _short(split.scenes(side)) for side in SIDES},
            "sha256": _sha256(crops),
        },
        frozenset(_instances(split.train)),
    )


def _open_packed(folder: Path, config: RunConfig, all_of_it: bool) -> _Part:
    shards = open_shards(folder)
    _check_packed(shards, folder, config)
    numbers = {side: shards.of_side(side) for side in SIDES}
    training, sides, held, name = numbers["train"], ["train"], dict[str, AnyCrops](), _name(folder)
    if all_of_it:
        training = np.setdiff1d(np.arange(len(shards)), numbers["test"])
        sides = ["train", "validation", ""]
    else:
        if not len(training) or not len(numbers["validation"]):
            listed = ", ".join(f"{len(numbers[side])} {side}" for side in SIDES)
            raise DataError(
                f"Training needs patches to train on and others to validate on. Received: {folder} with {listed}. "
                "Remedy: pack at least three scenes with 'quietcam data pack --split all', or name `validation`."
            )
        held = packed_to_validate(shards, numbers["validation"], config, name)
    pictures = shards.plan.pictures
    trained = set(shards.picture[training].tolist())
    return _Part(
        name,
        packed_to_train(shards, training, sides, config),
        held,
        {
            "data": shards.plan.data,
            "licence": _license(picture.instance for picture in pictures),
            "scenes": {side: _short(sorted({each.scene for each in pictures if each.side == side})) for side in SIDES},
            "sha256": shards.digest,
        },
        frozenset(pictures[i].instance for i in trained if pictures[i].instance),
    )


def _check_packed(shards: ShardSet, folder: Path, config: RunConfig) -> None:
    asked, packed = str(SplitRule.parse(config.training.split)), shards.plan.rule
    if config.training.split and asked != packed:
        raise UsageError(
            f"A packed set must be used with the split that it was packed with. Received: split {asked}, packed as "
            f"{packed}. "
            f"Remedy: leave the split out, or pack with 'quietcam data pack --split {asked}'."
        )
    if not shards.complete:
        raise DataError(
            f"A packed set must be complete to be trained on. Received: {folder}, with {len(shards)} patches so far. "
            "Remedy: run its 'quietcam data pack' again, which continues the set."
        )
    if config.model.channels != shards.plan.channels:
        raise UsageError(
            f"A packed set must have as many channels as the network. Received: channels={config.model.channels} in "
            f"the config, "
            f"packed {shards.plan.channels}. "
            f"Remedy: pack with 'quietcam data pack{' --gray' if config.model.channels == 1 else ''}'."
        )
    if config.training.patch > shards.plan.patch:
        raise UsageError(
            f"A training patch must not be larger than the packed patches. Received: patch={config.training.patch}, "
            f"packed "
            f"{shards.plan.patch}. Remedy: lower patch in the config, or pack with "
            f"'quietcam data pack --patch {config.training.patch}'."
        )


def _open_scenes(text: str, config: RunConfig) -> _Part:
    """Scenes that are made during training, and a few more for validation, which are never trained on."""
    options = parse_key_values(text.partition(":")[2], _SCENE_KEYS, "A set of scenes", "scenes:band=20:35,clean=DIR")
    size, channels = config.training.crop, config.model.channels
    clean = CleanFrames.open(options["clean"], size) if "clean" in options else None
    band = options.get("band")
    make = partial(_make_scene, size=size, channels=channels, band=band, frames=clean)
    held = np.stack([make(_VALIDATION_SEED + i) for i in range(_SCENES_HELD)])
    if clean is not None:
        log_problems(sorted(clean.skipped), f"of the pictures in {clean.source}")
    source = SceneSource(
        make, side=size, count=_SCENES_A_PASS, channels=channels, seed=config.training.seed * _SCENES_A_PASS * 1000
    )
    origin = {
        "data": "generated scenes, made while training" if clean is None else f"{clean.source.name} with sensor noise",
        "licence": "generated: no rights of others" if clean is None else f"that of {clean.source.name}",
        "scenes": "no two alike",
        "sha256": hashlib.sha256(f"{text} {config.training.seed} {size}".encode()).hexdigest(),
    }
    name = _SCENES if clean is None else _name(clean.source)
    return _Part(name, [source], {name: Crops(held, [])}, origin)


def _make_scene(
    number: int, size: int, channels: int, band: tuple[float, float] | None, frames: CleanFrames | None
) -> tuple[Image, Image]:
    noisy, clean = make_generated_pair(number, size=size, band=band, frames=frames)
    return as_channels(noisy, channels), as_channels(clean, channels)


def _check_apart(texts: Sequence[str], validation: Sequence[str | Path]) -> None:
    """Check that no folder is inside another; this works for all pairs, also for those without scenes."""
    trained = [Path(text).resolve() for text in texts if Path(text).exists()]
    for folder in (Path(folder).resolve() for folder in validation):
        if any(folder.is_relative_to(other) or other.is_relative_to(folder) for other in trained):
            raise DataError(
                f"Pictures to validate on must not be trained on. Received: {folder} in `data` and in `validation`. "
                "Remedy: leave `validation` out, so that a part of `data` is kept for it; or name another folder."
            )


def _check_clips(parts: Sequence[_Part], config: RunConfig) -> None:
    if config.model.history and not any(isinstance(source, ClipSource) for part in parts for source in part.sources):
        raise DataError(
            "A video network learns from clips what to remember. Received: "
            f"{', '.join(part.name for part in parts)}, without a clip to train on. Remedy: add clips, which "
            "'quietcam data generate --clips' makes; or set history = 0 in [model]."
        )


def _whole_set(folder: Path, config: RunConfig, parts: list[_Part]) -> dict[str, AnyCrops]:
    found = find_pairs(folder)
    ours = set(_instances(found.pairs))
    for part in parts:
        if shared := sorted(ours & part.instances):
            raise DataError(
                f"Pictures to validate on must not be trained on. Received: {shared[0]}"
                f"{f' and {len(shared) - 1} more' if len(shared) > 1 else ''} in {part.name} and in {folder}. "
                "Remedy: remove them from `data`, or name another `validation`."
            )
    return cut_to_validate(found.pairs, config, _name(folder), _WHOLE_SET_CROPS, whole=True)


def _origin_of(folder: Path, found: PairList) -> dict[str, str]:
    """A data set's description and license, from its ``origin.json``, or from SIDD's names of files."""
    if (folder / ORIGIN).is_file():
        with suppress(OSError, JsonError):
            values = read_object(folder / ORIGIN, MOST_OF_A_LIST)
            return {key: str(values.get(key, "unknown")) for key in ("data", "licence")}
    return {
        "data": _name(folder),
        "licence": _license(pair.instance.name if pair.instance else "" for pair in found.pairs),
    }


def _license(instances: Iterable[str]) -> str:
    names = list(instances)
    return "MIT (SIDD)" if names and all(names) else "unknown: ask whoever trained it"


def _instances(pairs: Iterable[Pair]) -> list[str]:
    return [pair.instance.name for pair in pairs if pair.instance]


def _name(folder: Path) -> str:
    """The last two parts of a path: many data sets have a folder named train."""
    return "/".join(folder.resolve().parts[-2:]).lstrip("/")


def _sha256(crops: Sequence[AnyCrops]) -> str:
    found = hashlib.sha256()
    for each in crops:
        for pixels in each.sequences if isinstance(each, ClipCrops) else [each.pairs]:
            found.update(pixels.data)
    return found.hexdigest()


def _short(names: list[str], most: int = 20) -> list[str] | int:
    """Names for a report, or their number if there are too many to read."""
    return names if len(names) <= most else len(names)


def _mean_psnr(crops: AnyCrops) -> float:
    pairs = [frame for each in crops.sequences for frame in each] if isinstance(crops, ClipCrops) else crops.pairs
    values = [finite_psnr(noisy, clean) for noisy, clean in pairs]
    return round(sum(values) / len(values), 3)
