"""A run that takes channels out of another run's network and fine-tunes what is left."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import tf_keras as keras

from quietcam.files.atomic import write_text
from quietcam.terminal.progress import say
from train.pruning import channels
from train.config import RunConfig, dump_config
from train.patches.sets import TrainingData
from train.devices import choose_xla
from train.run_directory.lock import claimed
from train.model import build, copy_convolutions
from train.precision import choose_precision
from train.runs.train import finish_run, mean_psnr, measured_on, recipe_of
from train.schedule import Budget
from train.run_directory.read import load_model, model_sha256, read_evaluation
from train.trainer import Loop

__all__ = ["narrow_run"]


def narrow_run(
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
    """Take whole channels out of the model of the run ``source`` and fine-tune the rest, into the folder ``run``.

    Args:
        share: how much less the network computes, a share of its multiply-accumulates in (0, 1).
        kind: the importance that decides, one of ``channels.IMPORTANCES``. Defaults to each of them in turn; the one
            that loses less before fine-tuning wins.
        multiple: of which widths stay, 8 or 16.
        resume: go on with what an interrupted ``narrow_run`` left there.

    Raises:
        UsageError: the share cannot be reached; the folder holds a run already, and neither
            ``resume`` nor ``overwrite`` is said; or as in ``Loop.fit``.
        StorageError: another process is at work there.
    """
    model, before = load_model(source), read_evaluation(source)
    with claimed(run, resume=resume, overwrite=overwrite):
        paths = _ways_down(config, model, data, share, [kind] if kind else list(channels.IMPORTANCES), multiple)
        won = max(paths, key=lambda each: paths[each][0][-1].psnr)
        path, scores = paths[won]
        smaller, narrowed = channels.narrow(config.model, model, path[-1].widths, scores)
        config = replace(config, model=smaller)
        if not resume:
            write_text(run / "config.toml", dump_config(config))
        keras.utils.set_random_seed(config.training.seed + 2)
        precision = choose_precision(config.training.precision)
        tuned = build(smaller, precision=precision)
        copy_convolutions(narrowed, tuned)
        settings = config.pruning
        loop = Loop(
            "channels",
            tuned,
            Budget(settings.steps, settings.minutes),
            settings.learning_rate,
            config.training.seed + 2,
            run,
            average=config.training.average,
            loss_scaling=precision == "mixed_float16",
            xla=choose_xla(config.training.xla),
            recipe=recipe_of("pruning", config, data, precision, {"source": model_sha256(source)}),
        )
        loop.fit(
            data.training,
            data.validation,
            patch=config.training.patch,
            batch=config.training.batch,
            extra=config.noise,
            resume=resume,
        )
        copy_convolutions(tuned, narrowed)
        told = {
            "importance": won,
            "before": path[0].psnr,
            "paths": {each: [asdict(cut) for cut in cuts] for each, (cuts, _) in paths.items()},
        }
        finish_run(run, narrowed, data, config, {"channel_pruning": told}, before=before)
    return narrowed


def _ways_down(
    config: RunConfig, model: keras.Model, data: TrainingData, share: float, kinds: list[str], multiple: int
) -> dict[str, tuple[list[channels.Cut], channels.Scores]]:
    """The way to a network of that size by each importance."""

    judge = partial(mean_psnr, data=data)
    found = {}
    for kind in kinds:
        say(f"looking for the channels that matter least, by {kind}")
        scores = channels.importance(config.model, model, kind, measured_on(data, config))
        way = channels.plan(config.model, model, scores, (1.0 - share) * config.model.gmacs(), judge, multiple)
        end = way[-1]
        say(f"{kind}: widths {list(end.widths)}, {end.gmacs:.3f} GMACs, {end.psnr:.2f} dB before fine-tuning")
        found[kind] = way, scores
    return found
