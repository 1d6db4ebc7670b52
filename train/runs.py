"""Run directories: what a training run reads, does and leaves behind."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras
from numpy.typing import NDArray

from quietcam.atomic import make_folder, write_json, write_text
from quietcam.data.crops import Crops, cut_crops
from quietcam.data.generated import ORIGIN
from quietcam.data.pairs import PairList, find_pairs
from quietcam.data.shards import ShardSet, is_packed, open_shards
from quietcam.data.split import SIDES, SplitRule
from quietcam.errors import DataError, ModelError, UsageError
from quietcam.metrics import psnr
from train import pruning
from train.config import RunConfig, dump_config, load_config
from train.model import build, copy_convolutions
from train.sources import ShardSource
from train.trainer import Budget, Loop, inference, save_model, validate

__all__ = ["TrainingData", "load_run", "load_training_data", "prune_run", "train_run"]

_MOST_CROPS = 4000
"""Of 256x256 RGB pairs: 1.5 GiB."""

_VALIDATION_CROPS = 24


@dataclass(frozen=True)
class TrainingData:
    """Patches to train on and crops to validate on, from different scenes, and where they come from."""

    training: Crops | ShardSource
    validation: Crops
    origin: dict[str, Any]


def load_training_data(folder: Path, config: RunConfig) -> TrainingData:
    """Read a data set, split it by scene, cut its crops; or open a packed set, whose sides are noted in it.

    Raises:
        UsageError: there is no such folder.
        DataError: nothing in it can be used.
    """
    if is_packed(folder):
        return _load_packed(folder, config)
    found = find_pairs(folder)
    split = SplitRule.parse(config.training.split).split(found.pairs)
    seed, size = config.training.seed, config.training.crop
    count = config.training.crops_per_picture
    channels = config.model.channels
    training = cut_crops(split.train, size, per_picture=count, seed=seed, limit=_MOST_CROPS, channels=channels)
    validation = cut_crops(split.validation, size, seed=seed, limit=_VALIDATION_CROPS, channels=channels)
    origin = {
        **origin_of(folder, found),
        "scenes": {side: _short(split.scenes(side)) for side in SIDES},
        "training_crops": len(training.noisy),
        "validation_crops": len(validation.noisy),
        "sha256": hashlib.sha256(training.noisy.tobytes() + training.clean.tobytes()).hexdigest(),
        "noisy_validation_psnr": _mean_psnr(validation),
    }
    return TrainingData(training, validation, origin)


def _load_packed(folder: Path, config: RunConfig) -> TrainingData:
    shards = open_shards(folder)
    numbers = {side: shards.of_side(side) for side in SIDES}
    asked, packed = str(SplitRule.parse(config.training.split)), shards.plan.rule
    if config.training.split and asked != packed:
        raise UsageError(
            f"A packed set is split as it was packed. Received: split {asked}, packed as {packed}. "
            f"Remedy: leave the split out, or pack with 'quietcam data pack --split {asked}'."
        )
    if not shards.complete:
        raise DataError(
            f"A packed set must be complete to be trained on. Received: {folder}, with {len(shards)} patches so far. "
            "Remedy: run its 'quietcam data pack' again; it goes on from there."
        )
    if not len(numbers["train"]) or not len(numbers["validation"]):
        listed = ", ".join(f"{len(numbers[side])} {side}" for side in SIDES)
        raise DataError(
            f"Training needs patches to train on and others to validate on. Received: {folder} with {listed}. "
            "Remedy: pack at least three scenes with 'quietcam data pack --split all'."
        )
    if config.model.channels != shards.plan.channels:
        raise UsageError(
            f"A packed set must have the network's channels. Received: channels={config.model.channels} in the config, "
            f"packed {shards.plan.channels}. Remedy: pack {'with' if config.model.channels == 1 else 'without'} --gray."
        )
    if config.training.patch > shards.plan.patch:
        raise UsageError(
            f"A patch is cut from a packed one and cannot be larger. Received: patch={config.training.patch}, packed "
            f"{shards.plan.patch}. Remedy: lower patch in the config, or pack with --patch {config.training.patch}."
        )
    validation = _spread(shards, numbers["validation"])
    pictures = shards.plan.pictures
    origin = {
        "data": shards.plan.data,
        "licence": _licence(picture.instance for picture in pictures),
        "scenes": {side: _short(sorted({each.scene for each in pictures if each.side == side})) for side in SIDES},
        "training_crops": len(numbers["train"]),
        "validation_crops": len(validation),
        "sha256": shards.digest,
        "noisy_validation_psnr": _mean_psnr(validation),
    }
    return TrainingData(ShardSource(shards, numbers["train"]), validation, origin)


def _spread(shards: ShardSet, numbers: NDArray[np.int64]) -> Crops:
    """Up to ``_VALIDATION_CROPS`` of these patches, spread evenly over them, and so over their pictures."""
    places = np.linspace(0, len(numbers), min(len(numbers), _VALIDATION_CROPS), endpoint=False).astype(int)
    chosen = numbers[places].tolist()
    entries = [shards.entry(number) for number in chosen]
    return Crops(
        np.stack([shards.both(number) for number in chosen]),
        [(entry.source, entry.box) for entry in entries],
    )


def train_run(config: RunConfig, data: TrainingData, run: Path) -> keras.Model:
    """Float training into the run directory ``run``; the model is there when this returns."""
    make_folder(run)
    write_text(run / "config.toml", dump_config(config))
    settings = config.training
    keras.utils.set_random_seed(settings.seed)
    model = build(config.model)
    loop = Loop("train", model, Budget(settings.steps, settings.minutes), settings.learning_rate, settings.seed, run)
    loop.fit(data.training, data.validation, patch=settings.patch, batch=settings.batch)
    _finish(run, model, data, config)
    return model


def prune_run(source: Path, config: RunConfig, data: TrainingData, run: Path) -> keras.Model:
    """Prune the model of the run ``source`` by magnitude and fine-tune it, into the run directory ``run``."""
    model = load_model(source)
    make_folder(run)
    write_text(run / "config.toml", dump_config(config))
    if (source / "history.csv").exists() and source != run:
        write_text(run / "history.csv", (source / "history.csv").read_text(encoding="utf-8"))
    settings = config.pruning
    # The second half of the steps is fine-tuning at full sparsity.
    end_step = settings.steps // 2
    keras.utils.set_random_seed(config.training.seed + 1)
    pruned = pruning.prunable(config.model, model, settings.sparsity, end_step)
    pruning.begin(pruned)
    budget = Budget(settings.steps, settings.minutes)
    loop = Loop(
        "prune",
        pruned,
        budget,
        settings.learning_rate,
        config.training.seed + 1,
        run,
        least_steps=end_step + 1,
    )
    loop.fit(data.training, data.validation, patch=config.training.patch, batch=config.training.batch)
    stripped = pruning.strip(config.model, pruned)
    _finish(run, stripped, data, config)
    return stripped


def load_run(run: Path) -> RunConfig:
    """The config of a run directory.

    Raises:
        UsageError: ``run`` is no run directory.
    """
    if not (run / "config.toml").is_file() or not (run / "model.keras").is_file():
        raise UsageError(
            f"A run directory holds config.toml and model.keras. Received: {run}. "
            "Remedy: give the folder that 'quietcam train' wrote."
        )
    return load_config(str(run / "config.toml"))


def load_model(run: Path) -> keras.Model:
    """The plain model of a run, built from its config with the weights of its file."""
    config = load_run(run)
    try:
        stored = keras.models.load_model(run / "model.keras", compile=False)
        model = build(config.model)
        copy_convolutions(stored, model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{run / 'model.keras'} must hold the network that its config.toml describes. Received: {error}. "
            "Remedy: train the run again."
        ) from error
    return model


def measured_step_seconds(run: Path) -> float | None:
    """Seconds one training step took in that run, from its history; None where there is none."""
    path = run / "history.csv"
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "train"]
    return float(rows[-1]["seconds"]) / float(rows[-1]["step"]) if rows else None


def fit_pruning_to(config: RunConfig, minutes: float, step_seconds: float | None) -> RunConfig:
    """``config`` with as many pruning steps as fit into ``minutes``, so that the schedule reaches its end."""
    steps = config.pruning.steps
    if step_seconds:
        # A step with masks takes about a fifth longer.
        steps = min(steps, int(60 * minutes / (1.2 * step_seconds)))
    return replace(config, pruning=replace(config.pruning, steps=max(20, steps), minutes=minutes))


def origin_of(folder: Path, found: PairList) -> dict[str, str]:
    """What a data set is and whose terms it is under, as far as it tells: by its ``origin.json`` or by SIDD's names."""
    if (folder / ORIGIN).is_file():
        with contextlib.suppress(OSError, ValueError):
            told = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
            return {key: str(told.get(key, "unknown")) for key in ("data", "licence")}
    return {
        "data": folder.resolve().name,
        "licence": _licence(pair.instance.name if pair.instance else "" for pair in found.pairs),
    }


def _licence(instances: Iterable[str]) -> str:
    names = list(instances)
    return "MIT (SIDD)" if names and all(names) else "unknown: ask whoever trained it"


def _finish(run: Path, model: keras.Model, data: TrainingData, config: RunConfig) -> None:
    save_model(model, run / "model.keras")
    write_json(
        run / "evaluation.json",
        {
            "architecture": config.model.to_dict(),
            "gmacs_256": round(config.model.gmacs(), 4),
            "parameters": config.model.parameters,
            "sparsity": round(pruning.sparsity(model), 4),
            "validation": {
                "psnr": round(validate(inference(model), data.validation), 3),
                "noisy_psnr": data.origin["noisy_validation_psnr"],
                "crops": data.origin["validation_crops"],
            },
            "data": data.origin,
            "tools": {
                name: version(name) for name in ("quietcam", "tensorflow", "tf_keras", "tensorflow-model-optimization")
            },
        },
    )


def read_evaluation(run: Path) -> dict[str, Any]:
    """What ``train`` or ``prune`` wrote about the run."""
    content: dict[str, Any] = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    return content


def _short(names: list[str], most: int = 20) -> list[str] | int:
    """Names for a report, or their number where there are too many to read."""
    return names if len(names) <= most else len(names)


def _mean_psnr(crops: Crops) -> float:
    values = [psnr(noisy, clean) for noisy, clean in zip(crops.noisy, crops.clean, strict=True)]
    return round(sum(min(value, 100.0) for value in values) / len(values), 3)
