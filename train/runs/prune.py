"""The public function ``prune``: makes the network of a run smaller, by weights or by channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from quietcam.errors import UsageError
from quietcam.terminal.log import log
from train.config import RunConfig
from train.distillation import describe_teacher, with_teacher
from train.patches.sets import load_training_data
from train.pruning.before_after import PLOT, plot_channels, plot_sensitivity
from train.pruning.channels import check_importance
from train.pruning.magnitude import shares
from train.run_directory.lock import check_free
from train.run_directory.read import TrainedRun, read_run
from train.runs.channel_pruning import prune_channels
from train.runs.magnitude_pruning import fit_steps_to_minutes, measured_step_seconds, prune_weights
from train.stored import find_networks

__all__ = ["prune"]


def prune(
    run: str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    validation: str | Path | Sequence[str | Path] = (),
    sparsity: float | None = None,
    channels: float | None = None,
    importance: str | None = None,
    multiple: int = 8,
    teacher: str | Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    scan: bool = True,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainedRun:
    """Make the network of a run smaller, and fine-tune the rest.

    Weights are set to zero, which makes the compressed file smaller; or, with ``channels``, whole channels are removed,
    which also makes the network faster. To do both, remove channels first. The new run contains ``pruning.png``, a
    plot of what each step would cost without fine-tuning. The fusion of a video network is left as it is: it is small,
    and it would leave ghosts.

    Args:
        run: a run directory that ``train`` wrote.
        data: one or several data sets, as for ``train``.
        out: the new run directory. Defaults to ``RUN-pruned``, with ``channels`` to ``RUN-narrow``.
        validation: one or several folders of pairs that are used for validation, without a split. Defaults to the
            validation scenes of ``data``.
        sparsity: share of all weights that become zero, in [0, 1). Every convolution keeps the same number of weights;
            the finest ones, which have fewer, stay whole. Defaults to the config's.
        channels: share of the multiply-accumulates to save, in (0, 1).
        importance: measure of the channels' importance: ``"l1"`` or ``"taylor"``. By default both are tried, and the
        better one is kept.
        multiple: widths stay multiples of this, 8 or 16.
        teacher: a network to learn from in addition, as for ``train``. Defaults to that of the run's config.
        minutes: wall-clock budget. Defaults to the config's, as do the following.
        steps: steps of fine-tuning, at least 10; fewer if they do not fit into the minutes.
        learning_rate: peak of the learning rate, in (0, 1).
        scan: first measure what pruning each single convolution would cost. Only for ``sparsity``.
        resume: continue an interrupted pruning.
        overwrite: delete an existing run in ``out``.

    Returns:
        The finished run.

    Raises:
        UsageError: a value is wrong, ``run`` is not a run, or ``out`` already contains one; or the teacher does not
            fit.
        DataError: a data set cannot be used.
        ModelError: a file of ``run`` is damaged.
        StorageError: the disk is full, or another process is using ``out``.
        StoppedError: Ctrl-C; the message says what is kept.

    Example:
        >>> import quietcam
        >>> smaller = quietcam.prune("runs/mine", data=["pairs/"], channels=0.4)  # doctest: +SKIP
        >>> smaller.evaluation.architecture.widths  # doctest: +SKIP
        (16, 24, 40, 56)
    """
    source = read_run(run)
    _check(sparsity, channels, importance, multiple)
    config = _config(source, sparsity, teacher, minutes, steps, learning_rate)
    if channels is None:
        shares(config.model, config.pruning.sparsity)  # refuses more zeros than the network can have
    target = (
        Path(out) if out else source.path.with_name(f"{source.path.name}-{'pruned' if channels is None else 'narrow'}")
    )
    how = {"resume": resume, "overwrite": overwrite}
    check_free(target, reads=[source.path, *find_networks(config.distillation.teacher)], **how)
    if source.evaluation.treatments.quantization_aware_training is not None:
        log.warning(
            "%s is ready for int8, and the pruned network will not be: run 'quietcam train %s --qat' on it afterwards",
            source.path,
            target,
        )
    pruned = TrainedRun(target)
    with load_training_data(data, config, validation) as loaded:
        if channels is None:
            prune_weights(source.path, config, loaded, target, scan=scan, **how)
        else:
            prune_channels(
                source.path, config, loaded, target, share=channels, kind=importance, multiple=multiple, **how
            )
    if channels is not None:
        plot_channels(target / PLOT, pruned.evaluation)
    elif scan:
        plot_sensitivity(target / PLOT, pruned.evaluation)
    return pruned


def _check(sparsity: float | None, channels: float | None, importance: str | None, multiple: int) -> None:
    if channels is not None and sparsity is not None:
        raise UsageError(
            "Channels and single weights must be pruned one after the other. Received: `channels` and `sparsity`. "
            "Remedy: prune with `channels` first, then prune the new run with `sparsity`."
        )
    if channels is not None and not 0.0 < channels < 1.0:
        raise UsageError(f"`channels` must be in (0, 1). Received: {channels:g}. Remedy: choose such a share.")
    if multiple not in (8, 16):
        raise UsageError(f"`multiple` must be 8 or 16. Received: {multiple}. Remedy: choose one of these.")
    if importance is not None:
        check_importance(importance)


def _config(
    source: TrainedRun,
    sparsity: float | None,
    teacher: str | Path | None,
    minutes: float | None,
    steps: int | None,
    learning_rate: float | None,
) -> RunConfig:
    """The config of the run, with the given values replacing its own."""
    config = with_teacher(source.config, teacher)
    pruning = config.pruning
    pruning = replace(
        pruning,
        sparsity=pruning.sparsity if sparsity is None else sparsity,
        steps=pruning.steps if steps is None else steps,
        learning_rate=pruning.learning_rate if learning_rate is None else learning_rate,
    )
    budget = pruning.minutes if minutes is None else minutes
    seconds, distillation = measured_step_seconds(source.path), describe_teacher(config)
    if seconds and distillation and source.evaluation.treatments.distillation is None:
        # A step runs the network forward and twice as much backward, and now the teacher forward, too.
        seconds *= 1.0 + distillation.gmacs_256 / (3.0 * config.model.gmacs())
    return fit_steps_to_minutes(replace(config, pruning=pruning), budget, seconds)
