"""The command of calibration: calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quietcam.errors import UsageError
from quietcam.options import Json, Side

if TYPE_CHECKING:
    from calibration.coverage import Coverage

__all__ = ["mount"]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("calibrate")(calibrate_command)


def calibrate_command(
    data: Annotated[Path, typer.Option(help="Pairs: SIDD as it is downloaded, or a folder with noisy/ and clean/.")],
    out: Annotated[Path, typer.Option(help="The representative set, an .npz file.")],
    count: Annotated[int, typer.Option(min=1, help="How many patches.")] = 64,
    size: Annotated[int, typer.Option(min=16, help="Side of a patch in pixels.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another set.")] = 0,
    split: Side = "all",
    json: Json = None,
) -> None:
    """Choose noisy patches that stand for the camera: int8 ranges are taken from them.

    Example: `quietcam calibrate --data SIDD_Small_sRGB_Only --split train --out representative.npz`
    """
    from calibration.coverage import cover
    from calibration.sampling import sample
    from quietcam.data.pairs import find_pairs
    from quietcam.data.split import pairs_of_side
    from quietcam.report import write_report
    from quietcam.representative import save_set

    if out.suffix != ".npz":
        raise UsageError(f"--out is an .npz file. Received: {out}. Remedy: --out {out.with_suffix('.npz')}")
    found = find_pairs(data)
    pairs = pairs_of_side(found.pairs, split)
    chosen = sample(pairs, count=count, size=size, seed=seed, data=data.resolve().name)
    save_set(out, chosen)
    coverage = cover(chosen)
    write_report(json, coverage.to_dict() | {"path": str(out), "sha256": chosen.digest, "origin": chosen.origin})
    _show(coverage, out, json)


def _show(coverage: Coverage, out: Path, json: str | None) -> None:
    from rich.table import Table

    from quietcam.report import report_console

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    low, high = coverage.range
    quartiles = " · ".join(f"{value:.0f}" for value in coverage.luminance)
    table.add_row(
        "patches", f"{coverage.patches} of {coverage.width}x{coverage.height}, from {coverage.pictures} pictures"
    )
    table.add_row("pixel values", f"{low} to {high}")
    table.add_row("luminance", f"{quartiles}  (least, quartiles, greatest)")
    for title, counts in (
        ("phones", coverage.phones),
        ("ISO", coverage.isos),
        ("brightness", coverage.brightness),
        ("scenes", coverage.scenes),
    ):
        if counts:
            table.add_row(title, "  ".join(f"{name} {number}" for name, number in counts.items()))
    console = report_console(json)
    console.print(f"{out}")
    console.print(table)
    for finding in coverage.findings:
        console.print(f"[yellow]warning[/] {finding}")
