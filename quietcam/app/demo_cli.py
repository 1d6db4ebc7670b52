"""The demo command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quietcam.terminal.options import number


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo")(demo)


def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="Pairs to train on: SIDD, or a folder with noisy/ and clean/. Default: generated scenes."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for models, report and clip.")] = Path("runs/demo"),
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch", help="Train a network from random weights, for minutes. A good network takes hours."
        ),
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            parser=number(0.1, 10**6),
            help="Most minutes of training. Default: 4.5, which only a very slow machine needs; with --from-scratch "
            "6.5, which are always used.",
        ),
    ] = None,
) -> None:
    """Show every stage: adapt a network, prune it, quantize it to int8, compare, denoise a simulated camera.

    The demo begins with the float weights of the model 'small', which was trained for hours, and adapts them to the
    camera of --data in a fixed number of steps. So the result does not depend on the speed of the machine.

    It ends with a table and report.html. The exit code is 3 if the network misses the promised quality. With --data or
    --from-scratch the promises are printed, but not enforced.

    Example: `quietcam demo --data SIDD_Small_sRGB_Only`
    """
    from quietcam.app.demo import run_demo

    run_demo(data=data, out=out, minutes=minutes, from_scratch=from_scratch)
