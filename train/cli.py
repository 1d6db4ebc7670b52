"""The commands of training: train, prune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quietcam.errors import UsageError

_Data = Annotated[
    Path,
    typer.Option(
        "--data", help="Pairs: SIDD as it is downloaded, a folder with noisy/ and clean/, or what data pack wrote."
    ),
]
_Seed = Annotated[int | None, typer.Option(help="Of weights, order and augmentation. Default: the config's.")]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("train")(train)
    app.command("prune")(prune)


def train(
    config: Annotated[str, typer.Argument(help="A config that ships (demo) or the path of a .toml file.")],
    data: _Data,
    out: Annotated[Path | None, typer.Option(help="The run directory. Default: runs/CONFIG.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.05, help="Wall-clock budget in place of the config's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in place of the config's.")] = None,
    seed: _Seed = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="test=SCENES,validation=SCENES",
            help="Keep these scenes from training: names joined by +, or a share. Default: the config's.",
        ),
    ] = None,
) -> None:
    """Train the denoising autoencoder in float.

    Scenes are split into train, validation and test; the run directory takes config.toml, model.keras, history.csv,
    evaluation.json.

    Example: `quietcam train demo --data pairs/ --out runs/mine --minutes 10`
    """
    from dataclasses import replace

    from quietcam.chatter import chatter_caught
    from train.config import load_config

    with chatter_caught():
        from train.runs import load_training_data, read_evaluation, train_run

    settings = load_config(config)
    training = settings.training
    training = replace(
        training,
        minutes=training.minutes if minutes is None else minutes,
        steps=training.steps if steps is None else steps,
        seed=training.seed if seed is None else seed,
        split=training.split if split is None else split,
    )
    settings = replace(settings, training=training)
    run = out or Path("runs") / Path(config).stem
    train_run(settings, load_training_data(data, settings), run)
    _report(run, read_evaluation(run))


def prune(
    run: Annotated[Path, typer.Argument(help="A run directory that train wrote.")],
    data: _Data,
    out: Annotated[Path | None, typer.Option(help="The new run directory. Default: RUN-pruned.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of weights that become zero, in [0, 1).")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.05, help="Wall-clock budget in place of the config's.")] = None,
) -> None:
    """Set the smallest weights to zero, step by step, and fine-tune the rest.

    It shrinks the compressed file. It does not make int8 inference faster.

    Example: `quietcam prune runs/mine --data pairs/ --sparsity 0.5`
    """
    from dataclasses import replace

    from quietcam.chatter import chatter_caught

    with chatter_caught():
        from train.runs import (
            fit_pruning_to,
            load_run,
            load_training_data,
            measured_step_seconds,
            prune_run,
            read_evaluation,
        )

    config = load_run(run)
    if sparsity is not None:
        config = replace(config, pruning=replace(config.pruning, sparsity=sparsity))
    config = fit_pruning_to(config, minutes or config.pruning.minutes, measured_step_seconds(run))
    target = out or run.with_name(f"{run.name}-pruned")
    if target.resolve() == run.resolve():
        raise UsageError(f"The pruned run needs a folder of its own. Received: --out {target}.")
    prune_run(run, config, load_training_data(data, config), target)
    _report(target, read_evaluation(target))


def _report(run: Path, evaluation: dict[str, object]) -> None:
    from typing import cast

    found = cast("dict[str, float]", evaluation["validation"])
    print(
        f"{run}: {found['noisy_psnr']:.2f} dB noisy, {found['psnr']:.2f} dB denoised "
        f"on {found['crops']:.0f} validation crops, "
        f"{evaluation['gmacs_256']} GMACs at 256x256, sparsity {evaluation['sparsity']}"
    )
