"""The command of calibration: calibrate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quietcam.limits import MOST_SEED
from quietcam.terminal.options import Json, Side, whole, writable

if TYPE_CHECKING:
    from calibration.coverage import Coverage, Spread

__all__ = ["mount"]

_SHOWN = 24  # values of a kind, such as scenes: --html and --json have all
_SHADES = " ▁▂▃▄▅▆▇█"


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("calibrate")(calibrate_command)


def calibrate_command(
    data: Annotated[
        Path,
        typer.Option(
            help="Pairs: SIDD as downloaded, or a folder with noisy/ and clean/. Or noisy pictures alone, as "
            "`quietcam capture` saves them. For a video network: clips, with or without clean/."
        ),
    ],
    out: Annotated[Path, typer.Option(callback=writable, help="Write the representative set to this .npz file.")],
    count: Annotated[int, typer.Option(parser=whole(1, 100_000), help="How many patches.")] = 256,
    size: Annotated[int, typer.Option(parser=whole(16, 4096), help="Side of a patch in pixels.")] = 128,
    seed: Annotated[int, typer.Option(parser=whole(0, MOST_SEED), help="Another seed gives another set.")] = 0,
    split: Side = "all",
    gray: Annotated[
        bool,
        typer.Option("--gray", help="Cut patches of one channel, the luma of color pictures: for grayscale models."),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL.tflite|RUN",
            help="A float video network: it makes the history of each patch from the frames before it.",
        ),
    ] = None,
    rebuild: Annotated[
        Path | None,
        typer.Option(
            metavar="SET.npz|REPORT.json",
            help="Cut the samples of this set again instead of choosing new ones. The data must not have changed.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(callback=writable, help="Write the coverage report with pictures to this file.")
    ] = None,
    json: Json = None,
) -> None:
    """Choose noisy patches that represent the camera: conversion takes int8 ranges from them.

    They are balanced over phone, ISO, brightness, content, luminance and noise, as far as these are known.

    A video network also needs the history of each patch: give clips, and the float network with `--model`.

    Example: `quietcam calibrate --data SIDD_Small_sRGB_Only --split train --out rep.npz --html coverage.html`
    """
    from calibration.choose import calibrate
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.say import say

    found = calibrate(
        data,
        count=count,
        size=size,
        seed=seed,
        split=split,
        gray=gray,
        model=model,
        rebuild=rebuild,
        out=out,
        html=html,
    )
    write_report(json, found.to_dict(out))
    console = report_console(json)
    console.print(f"{out}", soft_wrap=True)
    _show(found.coverage, console)
    if model is not None:
        say(f"next: {shlex.join(['quietcam', 'convert', str(model), '--representative', str(out), '--name', 'mine'])}")
    elif found.representative.channels == 3:  # as what ships has
        say(f"next: {shlex.join(['quietcam', 'convert', 'small', '--representative', str(out), '--name', 'mine'])}")


def _show(coverage: Coverage, console: Any) -> None:
    from rich.table import Table

    from quietcam.representative.cli import show_findings

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    unseen = f", {coverage.unseen} more were not read" if coverage.unseen else ""
    table.add_row(
        "patches",
        f"{coverage.patches} of {coverage.width}x{coverage.height}, from {coverage.pictures} of "
        f"{coverage.data_pictures} pictures{unseen}",
    )
    if coverage.history is not None:
        table.add_row("with a past", f"{coverage.history:.0%} of the patches")
    (low, high), (least, greatest) = coverage.range, coverage.data_range
    table.add_row("pixel values", f"{low} to {high} (the data: {least} to {greatest})")
    for kind, values in coverage.groups.items():
        counts = "  ".join(f"{value} {group.patches}" for value, group in list(values.items())[:_SHOWN])
        counts += f"  and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
        table.add_row("ISO" if kind == "iso" else kind, counts)
    for words, spread, unit in (
        ("luminance", coverage.luminance, "0 to 255"),
        ("noise", coverage.noise, "0 to 40 of 255"),
    ):
        table.add_row(f"{words}, set", f"{_sparkline(spread, spread.set)}  {unit}")
        table.add_row(f"{words}, data", f"{_sparkline(spread, spread.data)}  {spread.overlap:.0%} alike")
    console.print(table)
    if coverage.missing:
        console.print(f"in the data, but not in the set: {', '.join(coverage.missing)}", soft_wrap=True)
    show_findings(list(coverage.findings), console)


def _sparkline(spread: Spread, shares: tuple[float, ...]) -> str:
    tallest = max(*spread.set, *spread.data)
    return "".join(_SHADES[-(-int(share / tallest * 1000) * (len(_SHADES) - 1) // 1000)] for share in shares)
