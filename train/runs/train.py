"""Float training into a run directory: ``train`` takes plain values, ``train_run`` a config and opened data."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras as keras

from quietcam.errors import UsageError
from quietcam.evaluation import Treatments
from quietcam.files.atomic import write_text
from quietcam.terminal.log import log
from train.config import RunConfig, dump_config, load_config
from train.devices import choose_devices, choose_xla, is_chief
from train.distillation import check_teacher, describe_teacher, load_teacher, tell_teacher, with_teacher
from train.model import build, copy_convolutions, freeze_body
from train.patches.clips import ClipSource
from train.patches.sets import TrainingData, load_training_data
from train.precision import choose_precision
from train.run_directory.chain import Beginning
from train.run_directory.lock import check_free, run_lock
from train.run_directory.origin import trained_on_all_of
from train.run_directory.read import TrainedRun, read_run
from train.runs.finish import finish_run, mean_psnr
from train.runs.qat import train_for_int8
from train.runs.recipe import recipe_of
from train.schedule import Budget
from train.stored import find_networks
from train.trainer import Loop
from train.weights import StartingNetwork, read_starting_network

__all__ = ["check_train_run", "train", "train_run"]


def train(
    config: str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    validation: str | Path | Sequence[str | Path] = (),
    teacher: str | Path | None = None,
    weights: str | Path | None = None,
    qat: bool = False,
    minutes: float | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    split: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainedRun:
    """Train the denoising autoencoder in float; or, with ``qat``, make a trained one ready for int8.

    Args:
        config: name of a config that ships (``demo``, ``nano``, ``nano-video``, ``small``, ``small-video``, ``base``,
            ``base-video``, ``sidd_full``) or path of a TOML file; with ``qat`` the run directory to go on from.
        data: one or several data sets, ``SOURCE`` or ``SOURCE@WEIGHT``: SIDD as it is downloaded, a folder with
            ``noisy/`` and ``clean/``, clips, a packed set, or ``scenes[:band=LOW:HIGH,clean=DIR]``, which are made on
            the fly.
        out: the run directory. Defaults to ``runs/CONFIG``; with ``qat`` to ``RUN-qat``.
        validation: one or several folders of pairs that are used for validation, without a split. Defaults to the
            validation scenes of ``data``.
        teacher: a network to learn from in addition: a run directory, a float32 ``.tflite``, or the name of a model
            that ships, such as ``"base"``; ``"none"`` for none. Defaults to the config's; with ``qat`` to the run's.
        weights: a network to begin with, given in the same ways: the same network, or for a video network also the
            still network of its body. Defaults to the config's.
        minutes: wall-clock budget. Defaults to the config's, as do the following.
        steps: most optimizer steps.
        learning_rate: peak of the learning rate, in (0, 1).
        seed: seed of weights, order and augmentation. Not for ``qat``.
        split: scenes that are not trained on, such as ``"test=004,validation=001+003"``.
        resume: continue an interrupted run; on one device, and with ``deterministic`` in the config, it ends as if
            it had never been interrupted.
        overwrite: delete an existing run in ``out``.

    Returns:
        The finished run. If several workers train, only the chief's folder contains it.

    Raises:
        UsageError: a value is wrong, ``out`` already contains a run, or the initial network does not match.
        DataError: a data set cannot be used.
        ModelError: the file of a network to begin with or to learn from is damaged.
        StorageError: the disk is full, or another process is using ``out``.
        StoppedError: Ctrl-C; the message says what is kept.

    Example:
        >>> import quietcam
        >>> run = quietcam.train("demo", data=["pairs/", "scenes@0.5"], out="runs/mine", minutes=10)  # doctest: +SKIP
        >>> f"{run.noisy_psnr:.2f} dB noisy, {run.psnr:.2f} dB denoised"  # doctest: +SKIP
        '22.31 dB noisy, 29.84 dB denoised'
    """
    budget = _given(minutes=minutes, steps=steps, learning_rate=learning_rate)
    how = {"resume": resume, "overwrite": overwrite}
    if qat:
        if given := _given(weights=weights, seed=seed):
            raise UsageError(
                "Training for int8 (`qat`) uses the network and the seed of the given run. "
                f"Received: {', '.join(f'`{name}`' for name in given)}. Remedy: leave it out."
            )
        source = Path(config)
        settings = read_run(source).config
        settings = replace(
            settings,
            qat=replace(settings.qat, **budget),
            training=replace(settings.training, **_given(split=split)),
        )
        settings = with_teacher(settings, teacher)
        run = Path(out) if out else source.with_name(f"{source.name}-qat")
        check_free(run, reads=[source, *find_networks(settings.distillation.teacher)], **how)
        with load_training_data(data, settings, validation) as loaded:
            train_for_int8(source, settings, loaded, run, **how)
        return TrainedRun(run)
    settings = load_config(str(config))
    begins_with = _given(weights=None if weights is None else str(weights))
    settings = replace(
        settings, training=replace(settings.training, **budget, **begins_with, **_given(seed=seed, split=split))
    )
    if teacher is not None:
        settings = with_teacher(settings, teacher)
    run = Path(out) if out else Path("runs") / Path(config).stem
    check_train_run(settings, run, **how)  # before the data is opened, which takes time
    with load_training_data(data, settings, validation) as loaded:
        train_run(settings, loaded, run, **how)
    return TrainedRun(run)


def _given(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def train_run(
    config: RunConfig, data: TrainingData, run: Path, *, resume: bool = False, overwrite: bool = False
) -> keras.Model:
    """Float training into the run directory ``run``; the model is there when this returns.

    Args:
        resume: continue an interrupted training in ``run``.
        overwrite: delete an existing run in ``run``.

    Raises:
        UsageError: the folder holds a run already and neither is set; the weights to begin with, or the teacher, do
            not fit; or as in ``Loop.fit``.
        StorageError: another process is at work there.
        WorkerLostError: the run has several workers, and another one went away.
    """
    settings = config.training
    devices = choose_devices()
    devices.check_batch(settings.batch)
    start = check_train_run(config, run, resume=resume, overwrite=overwrite)
    alone = run_lock(run, resume=resume, overwrite=overwrite) if devices.is_chief else contextlib.nullcontext()
    with devices.together(), alone:
        if devices.is_chief and not resume:
            write_text(run / "config.toml", dump_config(config))
        keras.utils.set_random_seed(settings.seed)
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        precision = choose_precision(settings.precision)
        with devices.strategy.scope():
            model = build(config.model, precision=precision)
            if start.model is not None:
                copy_convolutions(start.model, model)
            if config.model.history and config.video.freeze_body:
                freeze_body(model)
                _warn_of_stills(config, data)
            teacher = load_teacher(config, precision)
        treatments = Treatments(weights=start.weights, distillation=describe_teacher(config))
        recipe = recipe_of("training", config, data, precision, treatments.to_dict())
        devices.check_alike(recipe)
        if start.model is not None and start.weights is not None:
            treatments = replace(treatments, weights=replace(start.weights, before=_measure(start, data)))
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
            video=config.video if config.model.history else None,
        )
        began_with = start.weights.sha256 if start.weights else None
        beginning = Beginning("train", began_with, start.origin, tell_teacher(config), start.fusion)
        rows = loop.fit(
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
            finish_run(run, plain, data, config, treatments, beginning, rows)
    return plain


def check_train_run(config: RunConfig, run: Path, *, resume: bool = False, overwrite: bool = False) -> StartingNetwork:
    """See that training may begin in ``run``, and read what it begins with. This needs no data.

    Raises:
        UsageError: the folder holds a run; the weights to begin with, or the teacher, do not fit.
        ModelError: the file of the weights is damaged.
    """
    if is_chief():  # the others write nothing, and may find there what the chief has begun
        reads = find_networks(config.training.weights, config.distillation.teacher, config.video.fusion)
        check_free(run, reads=reads, resume=resume, overwrite=overwrite)
    check_teacher(config)
    if config.model.history and config.video.freeze_body and not config.training.weights:
        raise UsageError(
            "A body that is kept as it is (freeze_body in [video]) must be a trained one. Received: no `weights`. "
            "Remedy: give those of a still network, or leave freeze_body out."
        )
    fusion = config.video.fusion if config.model.history else ""
    if fusion and not config.training.weights:
        raise UsageError(
            "A fusion to begin with (fusion in [video]) needs a body to begin with, too. Received: no `weights`. "
            "Remedy: give those of a still network, or leave fusion out."
        )
    return read_starting_network(config.training.weights, config.model, fusion)


def _warn_of_stills(config: RunConfig, data: TrainingData) -> None:
    """Say what a frozen body makes useless: what is learned as stills has no gradient in the fusion."""
    useless = ["pairs"] if any(not isinstance(source, ClipSource) for source in data.training.sources) else []
    if config.video.without_history:
        useless.append(f"sequences without history (without_history = {config.video.without_history:g})")
    if useless:
        log.warning(
            "freeze_body is set, so %s teach nothing and only take time. Leave them out: `data` of clips alone, and "
            "without_history = 0 in [video].",
            " and ".join(useless),
        )


def _measure(start: StartingNetwork, data: TrainingData) -> float:
    """PSNR in dB that training begins with. Warns where the validation crops were trained on before."""
    before = round(mean_psnr(start.model, data), 3)
    log.info("training begins with weights that give %.2f dB", before)
    if seen := [name for name in data.validation if start.origin and trained_on_all_of(name, start.origin)]:
        log.warning(
            "these weights were trained on all of %s: the validation there tells little about new pictures",
            ", ".join(seen),
        )
    return before
