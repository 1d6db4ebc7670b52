"""Run directories: what a training run reads, does and leaves behind."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.atomic import atomic_path, make_folder, write_json, write_text
from quietcam.data.crops import Crops
from quietcam.errors import StorageError, UsageError
from train import pruning
from train.config import RunConfig, dump_config
from train.data import TrainingData, inherited
from train.dataset import training_patches
from train.devices import choose_devices, choose_xla
from train.distillation import check_teacher, load_teacher, told_of
from train.judging import inference, validate
from train.model import build, copy_convolutions
from train.precision import choose_precision
from train.schedule import Budget
from train.stored import load_model, read_evaluation
from train.trainer import Loop
from train.weights import begin_with

__all__ = [
    "claimed",
    "finish_run",
    "mean_psnr",
    "measured_on",
    "prune_run",
    "train_run",
]

_OURS = ("config.toml", "model.keras", "history.csv", "evaluation.json", "checkpoints", "tensorboard", "evaluation")
_MEASURED = 256  # patches


def train_run(
    config: RunConfig, data: TrainingData, run: Path, *, resume: bool = False, overwrite: bool = False
) -> keras.Model:
    """Float training into the run directory ``run``; the model is there when this returns.

    Args:
        resume: go on with what an interrupted training left there.
        overwrite: delete what a training left there.

    Raises:
        UsageError: the folder holds a run already and neither is said; the weights to begin with, or the teacher, do
            not fit; or as in ``Loop.fit``.
        StorageError: another process is at work there.
        WorkerLostError: the run has several workers, and another one went away.
    """
    settings = config.training
    devices = choose_devices()
    devices.check_batch(settings.batch)
    check_teacher(config)
    begun = begin_with(settings.weights, config.model)
    if begun.source is not None and run.resolve() == begun.source.resolve():
        raise UsageError(
            f"A run that begins with another one's weights needs a folder of its own. Received: --out {run}."
        )
    alone = claimed(run, resume=resume, overwrite=overwrite) if devices.is_chief else contextlib.nullcontext()
    with devices.together(), alone:
        if devices.is_chief:
            write_text(run / "config.toml", dump_config(config))
        keras.utils.set_random_seed(settings.seed)
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        precision = choose_precision(settings.precision)
        with devices.strategy.scope():
            model = build(config.model, precision=precision)
            if begun.model is not None:
                copy_convolutions(begun.model, model)
            teacher = load_teacher(config, precision)
        recipe = _recipe(config, data, precision)
        devices.check_alike(recipe)
        loop = Loop(
            "train",
            model,
            Budget(settings.steps, settings.minutes),
            settings.learning_rate,
            settings.seed,
            run,
            average=settings.average,
            loss_scaling=precision == "mixed_float16",
            recipe=recipe,
            devices=devices,
            xla=choose_xla(settings.xla),
            teacher=teacher,
        )
        loop.fit(
            data.training,
            data.validation,
            patch=settings.patch,
            batch=settings.batch,
            extra=config.noise,
            resume=resume,
        )
        plain = build(config.model)
        copy_convolutions(model, plain)
        if devices.is_chief:
            finish_run(run, plain, data, config, told_of(config) | begun.told, before=begun.origin)
    return plain


def _recipe(config: RunConfig, data: TrainingData, precision: str) -> str:
    """All that decides about a step, and so not the budget, nor who compiles it."""
    told = config.to_dict()
    del told["pruning"], told["qat"], told["training"]["steps"], told["training"]["minutes"], told["training"]["xla"]
    told |= {"precision": precision, "data": data.origin["sha256"]}
    del told["distillation"]
    return json.dumps(told | told_of(config), sort_keys=True)


@contextlib.contextmanager
def claimed(run: Path, *, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
    """The run directory, for this process alone, and with nothing in it that would be lost."""
    make_folder(run)
    descriptor = os.open(run, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(
                f"One process at a time may work in a run directory. Received: {run}, which another one holds. "
                "Remedy: wait for it, or choose another place with --out."
            ) from error
        there = [name for name in _OURS if (run / name).exists()]
        if there and not resume:
            if not overwrite:
                raise UsageError(
                    f"A run directory takes one run. Received: {run}, which holds {', '.join(there)}. Remedy: --resume "
                    "goes on with it, --overwrite deletes it; or choose another place with --out."
                )
            for name in there:
                path = run / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        yield
    finally:
        os.close(descriptor)


def prune_run(
    source: Path, config: RunConfig, data: TrainingData, run: Path, *, scan: bool = False, overwrite: bool = False
) -> keras.Model:
    """Prune the model of the run ``source`` by magnitude and fine-tune it, into the run directory ``run``.

    Args:
        scan: measure beforehand what each convolution alone would lose, see ``pruning.sensitivity``.

    Raises:
        UsageError: the folder holds a run already, and ``overwrite`` is not said.
        StorageError: another process is at work there.
    """
    model, before = load_model(source), read_evaluation(source)["data"]
    with claimed(run, overwrite=overwrite):
        write_text(run / "config.toml", dump_config(config))
        if (source / "history.csv").exists():
            write_text(run / "history.csv", (source / "history.csv").read_text(encoding="utf-8"))
        stripped, told = _prune(model, config, data, run, scan)
        finish_run(run, stripped, data, config, {"magnitude_pruning": told}, before=before)
    return stripped


def _prune(
    model: keras.Model, config: RunConfig, data: TrainingData, run: Path, scan: bool
) -> tuple[keras.Model, dict[str, Any]]:
    settings = config.pruning
    # The second half of the steps is fine-tuning at full sparsity.
    end_step = settings.steps // 2
    told: dict[str, Any] = {"asked": settings.sparsity}
    if scan:
        told["sensitivity"] = pruning.sensitivity(model, partial(mean_psnr, data=data))
    keras.utils.set_random_seed(config.training.seed + 1)
    precision = choose_precision(config.training.precision)
    pruned = pruning.prunable(config.model, model, settings.sparsity, end_step, precision)
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
        loss_scaling=precision == "mixed_float16",
    )
    loop.fit(
        data.training,
        data.validation,
        patch=config.training.patch,
        batch=config.training.batch,
        extra=config.noise,
    )
    return pruning.strip(config.model, pruned), told


def mean_psnr(model: keras.Model, data: TrainingData) -> float:
    """PSNR in dB on the validation crops, the mean over their sets."""
    denoise = inference(model)
    return float(np.mean([validate(denoise, crops) for crops in data.validation.values()]))


def measured_on(data: TrainingData, config: RunConfig) -> Crops:
    """Some patches of the training stream, to measure ranges or the importance of channels on."""
    stream = training_patches(
        data.training,
        patch=config.training.patch,
        batch=_MEASURED,
        seed=config.training.seed + 3,
        as_float=False,
        extra=config.noise,
    )
    noisy, clean = next(iter(stream))
    return Crops(np.stack([noisy.numpy(), clean.numpy()], axis=1), [])


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


def _save_model(model: keras.Model, path: Path) -> None:
    """Save ``model`` as a ``.keras`` file, whole or not at all."""
    with atomic_path(path) as temporary:
        model.save(temporary, overwrite=True, save_format="keras")


def finish_run(
    run: Path,
    model: keras.Model,
    data: TrainingData,
    config: RunConfig,
    more: Mapping[str, Any],
    *,
    before: Mapping[str, Any],
) -> None:
    """Write the model and ``evaluation.json``: what it is, how good on the validation crops, and ``more``.

    Args:
        before: what was told of the data that the weights were trained on until now; empty for none.
    """
    _save_model(model, run / "model.keras")
    denoise = inference(model)
    found = {name: round(validate(denoise, crops), 3) for name, crops in data.validation.items()}
    write_json(
        run / "evaluation.json",
        {
            "architecture": config.model.to_dict(),
            "gmacs_256": round(config.model.gmacs(), 4),
            "parameters": config.model.parameters,
            "sparsity": round(pruning.sparsity(model), 4),
            "validation": {
                "psnr": round(float(np.mean(list(found.values()))), 3),
                "noisy_psnr": data.origin["noisy_validation_psnr"],
                "crops": data.origin["validation_crops"],
                "by_set": {
                    name: {"psnr": psnr, "noisy_psnr": data.origin["noisy_by_set"][name]}
                    for name, psnr in found.items()
                },
            },
            "data": data.origin | inherited(data.origin, before),
            "extra_noise": asdict(config.noise),
            "tools": {
                name: version(name) for name in ("quietcam", "tensorflow", "tf_keras", "tensorflow-model-optimization")
            },
            **(more or {}),
        },
    )
