"""The demo command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def mount(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo")(demo)


def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="Pairs to train on: SIDD, or a folder with noisy/ and clean/. Default: generated scenes."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Takes models, report, pictures and clip.")] = Path("runs/demo"),
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Minutes of training in all. Default: 6.5, and the quality is enforced."),
    ] = None,
) -> None:
    """The whole way: train, prune, calibrate, quantize to int8, compare, denoise a simulated camera.

    Ends with a table and report.html. Without --data and --minutes it exits with 3 where the promised quality is
    missed.

    Example: `quietcam demo --data SIDD_Small_sRGB_Only --minutes 20`
    """
    from quietcam.demo import run_demo

    run_demo(data=data, out=out, minutes=minutes)
