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
    out: Annotated[Path, typer.Option(help="The folder for models, report and clip.")] = Path("runs/demo"),
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Train a network from nothing, for minutes. A good one takes hours."),
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            parser=number(0.1, 10**6),
            help="Minutes of training at most. Default: 4.5, which only a very slow machine needs; with --from-scratch "
            "6.5, all of which are used.",
        ),
    ] = None,
) -> None:
    """The whole way: adapt a network, prune it, quantize it to int8, compare, denoise a simulated camera.

    Begins with the float weights of the model 'small', which were trained for hours, and adapts them to the camera of
    --data in a fixed number of steps. So the result does not depend on how fast the machine is.

    Ends with a table and report.html. The exit code is 3 if the network misses the promised quality; with --data or
    --from-scratch the promises are printed and not enforced.

    Example: `quietcam demo --data SIDD_Small_sRGB_Only`
    """
    from quietcam.app.demo import run_demo

    run_demo(data=data, out=out, minutes=minutes, from_scratch=from_scratch)
