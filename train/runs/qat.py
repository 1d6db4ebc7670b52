"""A run that makes another run's network ready for int8, by quantization-aware training."""

from __future__ import annotations

from pathlib import Path

import tf_keras as keras

from quietcam.files.atomic import write_text
from train.config import RunConfig, dump_config
from train.patches.sets import TrainingData
from train.run_directory.lock import claimed
from train.precision import choose_precision
from train.qat import export, prepared, quantizable
from train.runs.train import finish_run, mean_psnr, measured_on, recipe_of
from train.schedule import Budget
from train.run_directory.read import load_model, model_sha256, read_evaluation
from train.trainer import Loop

__all__ = ["qat_run"]


def qat_run(
    source: Path, config: RunConfig, data: TrainingData, run: Path, *, resume: bool = False, overwrite: bool = False
) -> keras.Model:
    """Train the model of the run ``source`` on under fake quantization, into the run directory ``run``.

    What it leaves is a plain network with its ranges in it, whose zeros are those of the source. Its history validates
    averaged weights in steps of the present ones; ``evaluation.json`` the network that is left, before its weights are
    rounded.

    Args:
        resume: go on with what an interrupted ``qat_run`` left there.

    Raises:
        UsageError: the folder holds a run already, and neither ``resume`` nor ``overwrite`` is said; or as in
            ``Loop.fit``.
        StorageError: another process is at work there.
    """
    model, before = load_model(source), read_evaluation(source)
    with claimed(run, resume=resume, overwrite=overwrite):
        if not resume:
            write_text(run / "config.toml", dump_config(config))
        settings, seed = config.qat, config.training.seed + 4
        keras.utils.set_random_seed(seed)
        scaled, ranges = prepared(config.model, model, measured_on(data, config).noisy)
        precision = choose_precision(config.training.precision)
        quantized = quantizable(config.model, scaled, ranges, precision)
        loop = Loop(
            "qat",
            quantized,
            Budget(settings.steps, settings.minutes),
            settings.learning_rate,
            seed,
            run,
            average=config.training.average,
            loss_scaling=precision == "mixed_float16",
            recipe=recipe_of("qat", config, data, precision, {"source": model_sha256(source)}),
        )
        loop.fit(
            data.training,
            data.validation,
            patch=config.training.patch,
            batch=config.training.batch,
            extra=config.noise,
            resume=resume,
        )
        plain = export(config.model, quantized, ranges)
        told = {"ranges": ranges, "before": round(mean_psnr(model, data), 3)}
        finish_run(run, plain, data, config, {"quantization_aware_training": told}, before=before)
    return plain
