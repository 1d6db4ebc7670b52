"""A run that removes whole channels from another run's network and fine-tunes the rest."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import tf_keras as keras

from quietcam.evaluation import ChannelPruning, SmallerNetwork
from quietcam.terminal.log import log
from train.config import RunConfig
from train.devices import choose_xla
from train.model import build, copy_convolutions
from train.patches.measured import patches_to_measure
from train.patches.sets import TrainingData
from train.precision import choose_precision
from train.pruning.channels import IMPORTANCES, Scores, importance, plan_widths, remove_channels
from train.run_directory.read import TrainedRun
from train.runs.fine_tune import FineTuning, fine_tune
from train.runs.finish import mean_psnr

__all__ = ["prune_channels"]


def prune_channels(
    source: Path,
    config: RunConfig,
    data: TrainingData,
    run: Path,
    *,
    share: float,
    kind: str | None = None,
    multiple: int = 8,
    resume: bool = False,
    overwrite: bool = False,
) -> keras.Model:
    """Remove whole channels from the network of the run ``source`` and fine-tune the rest, into the folder ``run``.

    Args:
        share: share of the multiply-accumulates to save, in (0, 1).
        kind: the measure of importance, one of ``IMPORTANCES``. By default each is tried, and the one that loses less
            before fine-tuning is used.
        multiple: widths stay multiples of this, 8 or 16.

    Returns:
        The network that was written.

    Raises:
        UsageError: the share cannot be reached; or as ``fine_tune``.
        ModelError, StorageError: as ``fine_tune``.
    """

    def prepare(begun: TrainedRun, model: keras.Model) -> FineTuning:
        plans = _plans(config, model, data, share, [kind] if kind else list(IMPORTANCES), multiple)
        best = max(plans, key=lambda each: plans[each][0][-1].psnr)
        path, scores = plans[best]
        smaller, narrowed = remove_channels(config.model, model, path[-1].widths, scores)
        seed = config.training.seed + 2
        keras.utils.set_random_seed(seed)
        precision = choose_precision(config.training.precision)
        tuned = build(smaller, precision=precision)
        copy_convolutions(narrowed, tuned)

        def export() -> keras.Model:
            copy_convolutions(tuned, narrowed)
            return narrowed

        return FineTuning(
            "channels",
            "pruning",
            replace(config, model=smaller),
            tuned,
            export=export,
            treatments=replace(
                begun.evaluation.treatments,
                channel_pruning=ChannelPruning(
                    best, path[0].psnr, {each: tuple(networks) for each, (networks, _) in plans.items()}
                ),
                quantization_aware_training=None,
            ),
            seed=seed,
            precision=precision,
            average=config.training.average,
            xla=choose_xla(config.training.xla),
        )

    return fine_tune(source, data, run, prepare, resume=resume, overwrite=overwrite)


def _plans(
    config: RunConfig, model: keras.Model, data: TrainingData, share: float, kinds: list[str], multiple: int
) -> dict[str, tuple[list[SmallerNetwork], Scores]]:
    """For each measure of importance: the networks down to the requested size, and the channels' scores."""
    measure = partial(mean_psnr, data=data)
    plans = {}
    for kind in kinds:
        log.info("looking for the channels that matter least, by %s", kind)
        measured = patches_to_measure(data, config, model)
        scores = importance(config.model, model, kind, measured.crops, measured.history)
        path = plan_widths(config.model, model, scores, (1.0 - share) * config.model.gmacs(), measure, multiple)
        end = path[-1]
        log.info("%s: widths %s, %.3f GMACs, %.2f dB before fine-tuning", kind, list(end.widths), end.gmacs, end.psnr)
        plans[kind] = path, scores
    return plans
