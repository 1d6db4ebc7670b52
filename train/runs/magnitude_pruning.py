"""A run whose smallest weights become zero, step by step, while the others are fine-tuned."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import tf_keras as keras

from quietcam.evaluation import MagnitudePruning
from train.config import RunConfig
from train.evaluation.validation import inference
from train.patches.dark_flats import dark_flats
from train.patches.sets import TrainingData
from train.precision import choose_precision
from train.pruning.magnitude import prunable, sensitivity, shares, start_schedule, strip
from train.run_directory.read import TrainedRun
from train.runs.even_phases import even_phases
from train.runs.fine_tune import FineTuning, fine_tune
from train.runs.finish import mean_psnr

__all__ = ["fit_steps_to_minutes", "measured_step_seconds", "prune_weights"]


def prune_weights(
    source: Path,
    config: RunConfig,
    data: TrainingData,
    run: Path,
    *,
    scan: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> keras.Model:
    """Set the smallest weights of the run ``source`` to zero and fine-tune the others, into the run directory ``run``.

    Args:
        scan: first measure what pruning each single convolution would cost, see
            ``train.pruning.magnitude.sensitivity``.

    Returns:
        The plain network that was written, zeros included.

    Raises:
        UsageError, ModelError, StorageError: as ``fine_tune``.
    """

    def prepare(begun: TrainedRun, model: keras.Model) -> FineTuning:
        found = None
        if scan:
            denoise = inference(model)  # its graph reads the current weights at each run
            found = sensitivity(model, lambda _: mean_psnr(denoise, data))
        seed = config.training.seed + 1
        end_step = config.pruning.steps // 2  # the other half of the steps is fine-tuning at full sparsity
        keras.utils.set_random_seed(seed)
        precision = choose_precision(config.training.precision)
        asked = shares(config.model, config.pruning.sparsity)
        pruned = prunable(config.model, model, config.pruning.sparsity, end_step, precision)
        start_schedule(pruned)

        def finish() -> keras.Model:
            plain = strip(config.model, pruned)
            if config.pruning.rounded:  # it is on its way to int8, as after `train --qat`
                even_phases(config.model, plain, dark_flats(config.model.channels, config.model.stem))
            return plain

        return FineTuning(
            "prune",
            "pruning",
            config,
            pruned,
            export=finish,
            treatments=replace(
                begun.evaluation.treatments,
                magnitude_pruning=MagnitudePruning(config.pruning.sparsity, found, asked),
                quantization_aware_training=None,
            ),
            seed=seed,
            precision=precision,
            least_steps=end_step + 1,
            rounded=config.pruning.rounded,
            recipe={"end_step": end_step, "shares": asked},
        )

    return fine_tune(source, data, run, prepare, resume=resume, overwrite=overwrite, keep_history=True)


def measured_step_seconds(run: Path) -> float | None:
    """Seconds that one training step took in that run, from its ``history.csv``; None without that file."""
    path = run / "history.csv"
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "train"]
    return float(rows[-1]["seconds"]) / float(rows[-1]["step"]) if rows else None


def fit_steps_to_minutes(config: RunConfig, minutes: float, step_seconds: float | None) -> RunConfig:
    """``config`` with at most as many pruning steps as fit into ``minutes``, so that the schedule reaches its end.

    Args:
        step_seconds: duration of a training step; None if unknown, which keeps all steps.
    """
    steps = asked = config.pruning.steps
    if step_seconds:
        # A step with masks takes about a fifth longer.
        steps = min(steps, int(60 * minutes / (1.2 * step_seconds)))
    return replace(config, pruning=replace(config.pruning, steps=max(min(asked, 20), steps), minutes=minutes))
