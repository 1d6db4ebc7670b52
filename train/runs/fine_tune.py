"""Fine-tuning: changes the network of one run, trains it further and writes another run. Pruning and QAT use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tf_keras as keras

from quietcam.evaluation import Treatments
from quietcam.files.atomic import write_text
from train.config import PruningConfig, QatConfig, RunConfig, dump_config
from train.distillation import describe_teacher, load_teacher, tell_teacher
from train.muon import Muon
from train.patches.sets import TrainingData
from train.run_directory.chain import Beginning, origin_with_runs
from train.run_directory.lock import run_lock
from train.run_directory.read import TrainedRun, read_run
from train.runs.finish import finish_run
from train.runs.recipe import recipe_of
from train.schedule import Budget
from train.trainer import Loop

__all__ = ["FineTuning", "fine_tune"]


@dataclass(frozen=True)
class FineTuning:
    """A network that is ready for further training, and the settings of that training.

    Attributes:
        phase: its name in history, checkpoint and progress.
        section: section of the config with the steps, the minutes and the learning rate.
        config: config of the new run.
        network: the network to train, including the wrappers of pruning or quantization.
        export: makes the plain network from it when training has ended.
        treatments: what was done to the network, now and before, for ``evaluation.json``.
        seed: seed of the order of patches.
        precision, average, least_steps, xla, optimizer, rounded: as in ``Loop``.
        recipe: further settings that affect a step, and so must not change when a run is resumed.
    """

    phase: str
    section: Literal["pruning", "qat"]
    config: RunConfig
    network: keras.Model
    export: Callable[[], keras.Model]
    treatments: Treatments
    seed: int
    precision: str
    average: float = 0.0
    least_steps: int = 1
    xla: bool = False
    optimizer: type[keras.optimizers.Adam] = Muon
    rounded: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)


def fine_tune(
    source: Path,
    data: TrainingData,
    run: Path,
    prepare: Callable[[TrainedRun, keras.Model], FineTuning],
    *,
    resume: bool = False,
    overwrite: bool = False,
    keep_history: bool = False,
) -> keras.Model:
    """Train the network of the run ``source`` further, into the run directory ``run``. If the new run's config names a
    teacher, it learns from that, too.

    Args:
        prepare: changes the plain network of ``source``; called after ``run`` is locked.
        resume: continue an interrupted fine-tuning in ``run``.
        overwrite: delete what is in ``run``.
        keep_history: let ``history.csv`` of the new run begin with that of ``source``.

    Returns:
        The network that was written to ``run``.

    Raises:
        UsageError: ``source`` is not a run; ``run`` already contains a run, and neither ``resume`` nor ``overwrite`` is
            set; or as in ``Loop.fit``.
        ModelError: a file of ``source`` is damaged.
        StorageError: another process is using ``run``.
    """
    begun = read_run(source)
    model, earlier = begun.load_model(), origin_with_runs(begun)
    with run_lock(run, resume=resume, overwrite=overwrite):
        tuning = prepare(begun, model)
        config = tuning.config
        settings: PruningConfig | QatConfig = config.pruning if tuning.section == "pruning" else config.qat
        if not resume:
            write_text(run / "config.toml", dump_config(config))
            if keep_history and (source / "history.csv").exists():
                write_text(run / "history.csv", (source / "history.csv").read_text(encoding="utf-8"))
        treatments, recipe = tuning.treatments, {"source": begun.sha256, **tuning.recipe}
        if (distillation := describe_teacher(config)) is not None:
            treatments = replace(treatments, distillation=distillation)
            recipe["teacher"] = asdict(distillation)
        loop = Loop(
            tuning.phase,
            tuning.network,
            Budget(settings.steps, settings.minutes),
            settings.learning_rate,
            tuning.seed,
            run,
            least_steps=tuning.least_steps,
            average=tuning.average,
            loss_scaling=tuning.precision == "mixed_float16",
            recipe=recipe_of(tuning.section, config, data, tuning.precision, recipe),
            xla=tuning.xla,
            optimizer=tuning.optimizer,
            rounded=tuning.rounded,
            teacher=load_teacher(config, tuning.precision),
            video=config.video if config.model.history else None,
        )
        beginning = Beginning(tuning.phase, begun.sha256, earlier, tell_teacher(config))
        rows = loop.fit(
            data.training,
            data.validation,
            patch=config.training.patch,
            batch=config.training.batch,
            extra=config.noise,
            resume=resume,
        )
        tuned = tuning.export()
        finish_run(run, tuned, data, config, treatments, beginning, rows)
    return tuned
