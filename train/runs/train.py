"""Run directories: what a training run reads, does and leaves behind."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.files.atomic import atomic_path, write_json, write_text
from quietcam.data.crops import Crops
from quietcam.worse import worse_than_noisy
from quietcam.terminal.progress import say
from quietcam.files.strict_json import dump_json
from train.pruning import magnitude as pruning
from train.config import RunConfig, dump_config
from train.patches.sets import TrainingData
from train.patches.dataset import training_patches
from train.devices import choose_devices, choose_xla, is_chief
from train.distillation import check_teacher, load_teacher, told_of
from train.run_directory.lock import check_free, claimed
from train.evaluation.validation import Denoise, inference, validate
from train.model import build, copy_convolutions
from train.run_directory.origin import inherited, seen_whole
from train.precision import choose_precision
from train.schedule import Budget
from train.run_directory.read import load_model, model_sha256, read_evaluation
from train.trainer import Loop
from train.weights import Beginning, begin_with

__all__ = [
    "check_train_run",
    "finish_run",
    "fit_pruning_to",
    "mean_psnr",
    "measured_on",
    "measured_step_seconds",
    "prune_run",
    "recipe_of",
    "train_run",
]

_MEASURED = 256  # patches
_LASTING = ("weights", "distillation", "channel_pruning", "magnitude_pruning")


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
    begun = check_train_run(config, run, resume=resume, overwrite=overwrite)
    alone = claimed(run, resume=resume, overwrite=overwrite) if devices.is_chief else contextlib.nullcontext()
    with devices.together(), alone:
        if devices.is_chief and not resume:
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
        told = told_of(config) | begun.told
        recipe = recipe_of("training", config, data, precision, told)
        devices.check_alike(recipe)
        if begun.model is not None:
            told["weights"]["before"] = before = round(mean_psnr(begun.model, data), 3)
            say(f"begun with weights that give {before:.2f} dB")
            if seen := [name for name in data.validation if begun.origin and seen_whole(name, begun.origin)]:
                say(f"they were trained on all of {', '.join(seen)}: what is found there tells little")
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
            finish_run(run, plain, data, config, told, before={"data": begun.origin})
    return plain


def check_train_run(config: RunConfig, run: Path, *, resume: bool = False, overwrite: bool = False) -> Beginning:
    """See that a training may begin in ``run``, and read what it begins with; all that can be told without its data.

    Raises:
        UsageError: the folder holds a run; the weights to begin with, or the teacher, do not fit.
    """
    if is_chief():  # the others write nothing, and see there what the chief has begun with
        reads = [Path(path) for path in (config.training.weights, config.distillation.teacher) if path]
        check_free(run, reads=reads, resume=resume, overwrite=overwrite)
    check_teacher(config)
    return begin_with(config.training.weights, config.model)


def recipe_of(phase: str, config: RunConfig, data: TrainingData, precision: str, more: Mapping[str, Any]) -> str:
    """All that decides about a step of ``phase``, a section of the config; so not the budget, nor who compiles it."""
    sections = {
        name: values for name, values in config.to_dict().items() if name in {"model", "training", "noise", phase}
    }
    for values in sections.values():
        for budget in ("steps", "minutes", "xla"):
            values.pop(budget, None)
    return dump_json(sections | {"precision": precision, "data": data.origin["sha256"], **more}, sort_keys=True)


def prune_run(
    source: Path,
    config: RunConfig,
    data: TrainingData,
    run: Path,
    *,
    scan: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> keras.Model:
    """Prune the model of the run ``source`` by magnitude and fine-tune it, into the run directory ``run``.

    Args:
        scan: measure beforehand what each convolution alone would lose, see ``pruning.sensitivity``.
        resume: go on with what an interrupted pruning left there.

    Raises:
        UsageError: the folder holds a run already, and neither ``resume`` nor ``overwrite`` is said; or as in
            ``Loop.fit``.
        StorageError: another process is at work there.
    """
    model, before = load_model(source), read_evaluation(source)
    with claimed(run, resume=resume, overwrite=overwrite):
        if not resume:
            write_text(run / "config.toml", dump_config(config))
            if (source / "history.csv").exists():
                write_text(run / "history.csv", (source / "history.csv").read_text(encoding="utf-8"))
        told: dict[str, Any] = {"asked": config.pruning.sparsity}
        if scan:
            denoise = inference(model)  # its graph reads the weights as they are when it runs
            told["sensitivity"] = pruning.sensitivity(model, lambda _: _mean_psnr(denoise, data))
        stripped = _prune(model, config, data, run, {"source": model_sha256(source)}, resume)
        finish_run(run, stripped, data, config, {"magnitude_pruning": told}, before=before)
    return stripped


def _prune(
    model: keras.Model, config: RunConfig, data: TrainingData, run: Path, told: dict[str, Any], resume: bool
) -> keras.Model:
    settings = config.pruning
    # The second half of the steps is fine-tuning at full sparsity.
    end_step = settings.steps // 2
    keras.utils.set_random_seed(config.training.seed + 1)
    precision = choose_precision(config.training.precision)
    pruned = pruning.prunable(config.model, model, settings.sparsity, end_step, precision)
    pruning.begin(pruned)
    loop = Loop(
        "prune",
        pruned,
        Budget(settings.steps, settings.minutes),
        settings.learning_rate,
        config.training.seed + 1,
        run,
        least_steps=end_step + 1,
        loss_scaling=precision == "mixed_float16",
        recipe=recipe_of("pruning", config, data, precision, told | {"end_step": end_step}),
    )
    loop.fit(
        data.training,
        data.validation,
        patch=config.training.patch,
        batch=config.training.batch,
        extra=config.noise,
        resume=resume,
    )
    return pruning.strip(config.model, pruned)


def mean_psnr(model: keras.Model, data: TrainingData) -> float:
    """PSNR in dB on the validation crops, the mean over their sets."""
    return _mean_psnr(inference(model), data)


def _mean_psnr(denoise: Denoise, data: TrainingData) -> float:
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
    """``config`` with as many of its pruning steps as fit into ``minutes``, so that the schedule reaches its end."""
    steps = asked = config.pruning.steps
    if step_seconds:
        # A step with masks takes about a fifth longer.
        steps = min(steps, int(60 * minutes / (1.2 * step_seconds)))
    return replace(config, pruning=replace(config.pruning, steps=max(min(asked, 20), steps), minutes=minutes))


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
    """Write the config, the model and ``evaluation.json``: what it is, how good on the validation crops, and ``more``.

    Where it is worse than the noisy pictures, that is said.

    Args:
        before: what ``evaluation.json`` of the run told whose weights this one began with. What was done to them goes
            on to count, and so does the data that they were trained on.
    """
    write_text(run / "config.toml", dump_config(config))
    _save_model(model, run / "model.keras")
    denoise = inference(model)
    found = {name: round(validate(denoise, crops), 3) for name, crops in data.validation.items()}
    for each in worse_than_noisy({name: (psnr, data.origin["noisy_by_set"][name]) for name, psnr in found.items()}):
        say(f"warning: {each}")
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
            "data": inherited(data.origin, before["data"]),
            "extra_noise": asdict(config.noise),
            "tools": {
                name: version(name) for name in ("quietcam", "tensorflow", "tf_keras", "tensorflow-model-optimization")
            },
            **{key: before[key] for key in _LASTING if key in before},
            **more,
        },
    )
