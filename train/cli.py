"""The commands of training: train, prune; evaluate is mounted here, too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from quietcam.errors import UsageError
from quietcam.limits import MOST_COUNT, MOST_SEED
from quietcam.terminal.options import Json, number, whole
from quietcam.terminal.progress import say
from train.evaluation import cli as evaluate_cli

_Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="SOURCE[@WEIGHT]",
        help="SIDD as it is downloaded, noisy/ and clean/ folders, a packed set, or scenes[:band=LOW:HIGH,clean=DIR] "
        "made on the fly. May be given several times; each gets its weight's share of every batch.",
    ),
]
_Validation = Annotated[
    list[Path] | None,
    typer.Option(
        help="Validate on these pairs and train on all of --data. May be given several times. "
        "Default: the validation scenes of --data."
    ),
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete the run that is there.")]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]
_Rate = Annotated[
    float | None,
    typer.Option(
        parser=number(1e-9, 0.999), help="Peak learning rate in place of the config's; with --weights a lower one."
    ),
]
_Seed = Annotated[
    int | None,
    typer.Option(parser=whole(0, MOST_SEED), help="Of weights, order and augmentation. Default: the config's."),
]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("train")(train)
    app.command("prune")(prune)
    evaluate_cli.mount(app)


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="A config that ships (demo, nano, small, base, sidd_full), a .toml file, or with --qat a run."
        ),
    ],
    data: _Data,
    validation: _Validation = None,
    out: Annotated[Path | None, typer.Option(help="The run directory. Default: runs/CONFIG.")] = None,
    resume: _Resume = False,
    overwrite: _Overwrite = False,
    teacher: Annotated[
        Path | None, typer.Option(help="Learn from this run's network, too. Default: the config's [distillation].")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Begin with the weights of this run, or of this float32 .tflite of the same network."),
    ] = None,
    qat: Annotated[bool, typer.Option("--qat", help="Train the network of the run CONFIG on, for int8.")] = False,
    minutes: Annotated[
        float | None, typer.Option(parser=number(0.05, 10**6), help="Wall-clock budget in place of the config's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(parser=whole(1, MOST_COUNT), help="Steps in place of the config's.")
    ] = None,
    learning_rate: _Rate = None,
    seed: _Seed = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="test=SCENES,validation=SCENES",
            help="Keep these scenes from training: names joined by +, or a share. Default: the config's.",
        ),
    ] = None,
) -> None:
    """Train the denoising autoencoder in float, or with --qat make a trained one ready for int8.

    Scenes are split into train, validation and test; the run directory takes config.toml, model.keras, history.csv,
    evaluation.json and tensorboard/. Ctrl-C keeps the state; the same command with --resume goes on. All GPUs that are
    found train together, and so do several machines that TF_CONFIG names.

    --weights begins with what is trained already, such as a model that ships: so it is tuned to your own camera.

    --qat goes on with a run's network, whole or pruned, under fake quantization (tfmot): the weights adapt to what int8
    rounds away, and its ranges come out with it, so that convert needs no representative set.

    Example: `quietcam train demo --data pairs/ --data scenes@0.5 --out runs/mine --minutes 10`, then
    `quietcam train runs/mine --qat --data pairs/`
    """
    from dataclasses import replace

    from quietcam.process.native_output import native_output_caught
    from train.config import load_config

    if qat:
        if given := [name for name, value in (("--teacher", teacher), ("--weights", weights)) if value]:
            raise UsageError(
                f"--qat begins with the run that it is given. Received: {', '.join(given)}. Remedy: leave it out."
            )
        budget = {"minutes": minutes, "steps": steps, "learning_rate": learning_rate}
        _train_for_int8(Path(config), data, validation or [], out, budget, split, resume=resume, overwrite=overwrite)
        return
    settings = load_config(config)  # before what follows takes its seconds
    with native_output_caught():
        from train.devices import is_chief
        from train.patches.sets import load_training_data
        from train.run_directory.read import read_evaluation
        from train.runs.train import check_train_run, train_run

    training = settings.training
    training = replace(
        training,
        minutes=training.minutes if minutes is None else minutes,
        steps=training.steps if steps is None else steps,
        learning_rate=learning_rate or training.learning_rate,
        seed=training.seed if seed is None else seed,
        split=training.split if split is None else split,
        weights=training.weights if weights is None else str(weights),
    )
    settings = replace(settings, training=training)
    if teacher is not None:
        settings = replace(settings, distillation=replace(settings.distillation, teacher=str(teacher)))
    run = out or Path("runs") / Path(config).stem
    check_train_run(settings, run, resume=resume, overwrite=overwrite)  # before the data, which takes its time
    with load_training_data(data, settings, validation or []) as loaded:
        train_run(settings, loaded, run, resume=resume, overwrite=overwrite)
    if is_chief():
        _report(run, read_evaluation(run))


def _train_for_int8(
    source: Path,
    data: list[str],
    validation: list[Path],
    out: Path | None,
    budget: dict[str, float | int | None],
    split: str | None,
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    from dataclasses import replace

    from quietcam.process.native_output import native_output_caught

    with native_output_caught():
        from train.patches.sets import load_training_data
        from train.run_directory.lock import check_free
        from train.run_directory.read import load_run, read_evaluation
        from train.runs.qat import qat_run

    config = load_run(source)
    settings: dict[str, Any] = {name: value for name, value in budget.items() if value is not None}
    config = replace(
        config,
        qat=replace(config.qat, **settings),
        training=replace(config.training, split=config.training.split if split is None else split),
    )
    run = out or source.with_name(f"{source.name}-qat")
    check_free(run, reads=[source], resume=resume, overwrite=overwrite)
    with load_training_data(data, config, validation) as loaded:
        qat_run(source, config, loaded, run, resume=resume, overwrite=overwrite)
    _report(run, read_evaluation(run))


def prune(
    run: Annotated[Path, typer.Argument(help="A run directory that train wrote.")],
    data: _Data,
    validation: _Validation = None,
    out: Annotated[Path | None, typer.Option(help="The new run directory. Default: RUN-pruned, RUN-narrow.")] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(
            parser=number(0, 0.999), help="Share of weights that become zero, in [0, 1). Default: the config's."
        ),
    ] = None,
    channels: Annotated[
        float | None,
        typer.Option(
            parser=number(0.001, 0.999),
            help="Take whole channels out instead, until the network computes this share less, in (0, 1).",
        ),
    ] = None,
    importance: Annotated[
        str | None, typer.Option(help="Of channels: l1 or taylor. Default: both are tried, the better one wins.")
    ] = None,
    multiple: Annotated[int, typer.Option(parser=whole(8, 16), help="Widths stay multiples of it, 8 or 16.")] = 8,
    minutes: Annotated[
        float | None, typer.Option(parser=number(0.05, 10**6), help="Wall-clock budget in place of the config's.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            parser=whole(10, MOST_COUNT),
            help="Fine-tuning steps in place of the config's; fewer if the minutes end first.",
        ),
    ] = None,
    learning_rate: _Rate = None,
    scan: Annotated[bool, typer.Option(help="Measure what each convolution alone would lose.")] = True,
    json: Json = None,
    resume: _Resume = False,
    overwrite: _Overwrite = False,
) -> None:
    """Make a trained network smaller, and fine-tune what is left.

    --sparsity sets the smallest weights to zero, step by step. It shrinks the compressed file, and does not make int8
    inference faster: these runtimes multiply zeros like other numbers. --channels takes whole channels out: fewer
    multiplications, and fewer milliseconds. Do both one after another: channels first.

    The new run takes pruning.png: what each step of either would cost without fine-tuning.

    Example: `quietcam prune runs/mine --data pairs/ --channels 0.4`, then
    `quietcam prune runs/mine-narrow --data pairs/ --sparsity 0.5`
    """
    from dataclasses import replace

    from quietcam.process.native_output import native_output_caught
    from quietcam.terminal.report import report_console, write_report

    with native_output_caught():
        from train.patches.sets import load_training_data
        from train.pruning.before_after import PLOT, before_after, plot_channels, plot_sensitivity
        from train.pruning.channels import check_importance
        from train.run_directory.lock import check_free
        from train.run_directory.read import load_model, load_run, read_evaluation
        from train.runs.channel_pruning import narrow_run
        from train.runs.train import fit_pruning_to, measured_step_seconds, prune_run

    if channels is not None and sparsity is not None:
        raise UsageError(
            "Channels or single weights are pruned, one after another. Received: --channels and --sparsity. "
            "Remedy: --channels first, then --sparsity on its run."
        )
    if multiple not in (8, 16):
        raise UsageError(f"Widths stay multiples of 8 or 16. Received: --multiple {multiple}. Remedy: choose one.")
    if importance is not None:
        check_importance(importance)
    config = load_run(run)
    if sparsity is not None:
        config = replace(config, pruning=replace(config.pruning, sparsity=sparsity))
    if learning_rate is not None:
        config = replace(config, pruning=replace(config.pruning, learning_rate=learning_rate))
    if steps is not None:
        config = replace(config, pruning=replace(config.pruning, steps=steps))
    config = fit_pruning_to(config, minutes or config.pruning.minutes, measured_step_seconds(run))
    target = out or run.with_name(f"{run.name}-{'pruned' if channels is None else 'narrow'}")
    check_free(target, reads=[run], resume=resume, overwrite=overwrite)
    if "quantization_aware_training" in read_evaluation(run):
        say(f"{run} is ready for int8, and what comes out of this is not: run 'quietcam train {target} --qat' on it")
    with load_training_data(data, config, validation or []) as loaded:
        if channels is None:
            prune_run(run, config, loaded, target, scan=scan, resume=resume, overwrite=overwrite)
            if scan:
                plot_sensitivity(target / PLOT, read_evaluation(target)["magnitude_pruning"]["sensitivity"])
        else:
            narrow_run(
                run,
                config,
                loaded,
                target,
                share=channels,
                kind=importance,
                multiple=multiple,
                resume=resume,
                overwrite=overwrite,
            )
            plot_channels(target / PLOT, read_evaluation(target))
    table, rows = before_after(*((read_evaluation(each), load_model(each)) for each in (run, target)))
    report_console(json).print(table)
    if channels is None:
        say("Zeros shrink the compressed file. They do not make int8 inference faster.")
    write_report(json, {"runs": rows, "evaluation": read_evaluation(target)})


def _report(run: Path, evaluation: dict[str, object]) -> None:
    from typing import cast

    from quietcam.terminal.report import report_console

    found = cast("dict[str, float]", evaluation["validation"])
    began = cast("dict[str, Any]", evaluation.get("quantization_aware_training", evaluation.get("weights", {})))
    before = f" (the weights that it began with: {began['before']:.2f})" if "before" in began else ""
    report_console(None).print(
        f"{run}: {found['noisy_psnr']:.2f} dB noisy, {found['psnr']:.2f} dB denoised{before} "
        f"on {found['crops']:.0f} validation crops, "
        f"{evaluation['gmacs_256']} GMACs at 256x256, sparsity {evaluation['sparsity']}",
        soft_wrap=True,
    )
