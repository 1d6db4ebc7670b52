"""The commands of training: train and prune; evaluate is mounted here, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietcam.limits import MOST_COUNT, MOST_SEED
from quietcam.terminal.options import Json, number, whole
from quietcam.terminal.say import say
from train.evaluation import cli as evaluate_cli

if TYPE_CHECKING:
    from train.run_directory.read import TrainedRun

_Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="SOURCE[@WEIGHT]",
        help="SIDD as it is downloaded, a folder with noisy/ and clean/, clips, a packed set, or "
        "scenes[:band=LOW:HIGH,clean=DIR], which are made on the fly. May be given several times; the weight of a data "
        "set decides its share of every batch.",
    ),
]
_Validation = Annotated[
    list[Path] | None,
    typer.Option(
        help="Validate on these pairs and train on all of --data. May be given several times. "
        "Default: the validation scenes of --data."
    ),
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete an existing run in the run directory.")]
_Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
_Teacher = Annotated[
    str | None,
    typer.Option(
        metavar="RUN|FILE|NAME",
        help="Also learn from the network of this run, of this float32 .tflite or of this model that ships, such as "
        "base. 'none' for no teacher. Default: [distillation] in the config.",
    ),
]
_Minutes = Annotated[
    float | None,
    typer.Option(parser=number(0.05, 10**6), help="Stop after this many minutes. Default: the config's."),
]
_Rate = Annotated[
    float | None,
    typer.Option(
        parser=number(1e-9, 0.999),
        help="Peak learning rate. Choose a lower one for a trained network. Default: the config's.",
    ),
]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("train")(train_command)
    app.command("prune")(prune_command)
    evaluate_cli.mount(app)


def train_command(
    config: Annotated[
        str,
        typer.Argument(
            help="Name of a config that ships (demo, nano, nano-video, small, small-video, base, base-video, "
            "sidd_full) or a .toml file; with --qat a run directory."
        ),
    ],
    data: _Data,
    validation: _Validation = None,
    out: Annotated[
        Path | None, typer.Option(help="The run directory. Default: runs/CONFIG, with --qat RUN-qat.")
    ] = None,
    resume: _Resume = False,
    overwrite: _Overwrite = False,
    teacher: _Teacher = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE|NAME",
            help="Begin with the weights of this run, of this float32 .tflite or of this model that ships. It must be "
            "the same network.",
        ),
    ] = None,
    qat: Annotated[
        bool, typer.Option("--qat", help="Make the network of the run CONFIG ready for int8, by training it further.")
    ] = False,
    minutes: _Minutes = None,
    steps: Annotated[
        int | None, typer.Option(parser=whole(1, MOST_COUNT), help="Stop after this many steps. Default: the config's.")
    ] = None,
    learning_rate: _Rate = None,
    seed: Annotated[
        int | None,
        typer.Option(
            parser=whole(0, MOST_SEED), help="Seed of weights, order and augmentation. Default: the config's."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="test=SCENES,validation=SCENES",
            help="Do not train on these scenes: names joined by +, or a share. Default: the config's.",
        ),
    ] = None,
) -> None:
    """Train the denoising autoencoder in float, or with --qat make a trained one ready for int8.

    Scenes are split into train, validation and test. The run directory holds config.toml, model.keras, history.csv,
    evaluation.json and tensorboard/. Ctrl-C keeps the state; the same command with --resume continues. All GPUs of the
    machine train together, and so do several machines if TF_CONFIG names them.

    --weights begins with a network that is trained already, such as a model that ships, to adapt it to your own camera.
    A network whose config says history = 1 learns from clips to remember; it may begin with the weights of a still one.

    --qat trains the network of a run on under fake quantization (tfmot). Its weights adapt to the rounding of int8, and
    the run holds the ranges, so that convert needs no representative set.

    Example: `quietcam train demo --data pairs/ --data scenes@0.5 --out runs/mine --minutes 10`, then
    `quietcam train runs/mine --qat --data pairs/`
    """
    from quietcam.process.native_output import native_output_caught
    from train.config import load_config

    if not qat:
        load_config(config)  # reports errors in it before TensorFlow loads, which takes seconds
    with native_output_caught():
        from train.devices import is_chief
        from train.runs.train import train

    run = train(
        config,
        data,
        out=out,
        validation=validation or [],
        teacher=teacher,
        weights=weights,
        qat=qat,
        minutes=minutes,
        steps=steps,
        learning_rate=learning_rate,
        seed=seed,
        split=split,
        resume=resume,
        overwrite=overwrite,
    )
    if qat or is_chief():
        _report(run)


def prune_command(
    run: Annotated[Path, typer.Argument(help="A run directory that train wrote.")],
    data: _Data,
    validation: _Validation = None,
    out: Annotated[Path | None, typer.Option(help="The new run directory. Default: RUN-pruned, RUN-narrow.")] = None,
    sparsity: Annotated[
        float | None,
        typer.Option(
            parser=number(0, 0.999), help="Share of all weights that become zero, in [0, 1). Default: the config's."
        ),
    ] = None,
    channels: Annotated[
        float | None,
        typer.Option(
            parser=number(0.001, 0.999),
            help="Remove whole channels instead, until the network computes this share less, in (0, 1).",
        ),
    ] = None,
    importance: Annotated[
        str | None,
        typer.Option(
            help="Measure of the channels' importance: l1 or taylor. Default: try both, and keep the better one."
        ),
    ] = None,
    multiple: Annotated[
        int, typer.Option(parser=whole(8, 16), help="Keep widths that are multiples of this number, 8 or 16.")
    ] = 8,
    teacher: _Teacher = None,
    minutes: _Minutes = None,
    steps: Annotated[
        int | None,
        typer.Option(
            parser=whole(10, MOST_COUNT),
            help="Fine-tuning steps; fewer are taken if the minutes end first. Default: the config's.",
        ),
    ] = None,
    learning_rate: _Rate = None,
    scan: Annotated[bool, typer.Option(help="Measure what pruning each single convolution would cost.")] = True,
    json: Json = None,
    resume: _Resume = False,
    overwrite: _Overwrite = False,
) -> None:
    """Make a trained network smaller, and fine-tune the rest.

    --sparsity sets the smallest weights to zero, step by step. Large layers lose many, the small ones that compute the
    finest detail none. It makes the compressed file smaller. It does not make int8 inference faster: these runtimes
    multiply zeros like other numbers. --channels removes whole channels, which saves multiplications and time. To do
    both, use --channels first.

    The new run contains pruning.png, a plot of what each step would cost without fine-tuning.

    Example: `quietcam prune runs/mine --data pairs/ --channels 0.4`, then
    `quietcam prune runs/mine-narrow --data pairs/ --sparsity 0.5`
    """
    from quietcam.process.native_output import native_output_caught
    from quietcam.terminal.report import report_console, write_report

    with native_output_caught():
        from train.pruning.before_after import before_after
        from train.run_directory.read import read_run
        from train.runs.prune import prune

    pruned = prune(
        run,
        data,
        out=out,
        validation=validation or [],
        sparsity=sparsity,
        channels=channels,
        importance=importance,
        multiple=multiple,
        teacher=teacher,
        minutes=minutes,
        steps=steps,
        learning_rate=learning_rate,
        scan=scan,
        resume=resume,
        overwrite=overwrite,
    )
    table, rows = before_after(read_run(run), pruned)
    report_console(json).print(table)
    if channels is None:
        say("Zeros make the compressed file smaller. They do not make int8 inference faster.")
    write_report(json, {"runs": rows, "evaluation": pruned.evaluation.to_dict()})


def _report(run: TrainedRun) -> None:
    from quietcam.terminal.report import report_console

    evaluation, done = run.evaluation, run.evaluation.treatments
    began = done.quantization_aware_training or done.weights
    before = "" if began is None or began.before is None else f" (at the beginning {began.before:.2f} dB)"
    report_console(None).print(
        f"{run.path}: {run.noisy_psnr:.2f} dB noisy, {run.psnr:.2f} dB denoised{before} "
        f"on {evaluation.validation.crops} validation crops, "
        f"{evaluation.gmacs_256} GMACs at 256x256, sparsity {evaluation.sparsity}",
        soft_wrap=True,
    )
