"""The command of calibration: calibrate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quietcam.errors import UsageError
from quietcam.limits import MOST_SEED
from quietcam.terminal.options import Json, Side, whole, writable

if TYPE_CHECKING:
    from calibration.coverage import Coverage, Spread

__all__ = ["mount"]

_SHOWN = 24  # of a kind, scenes for example: all are in --html and --json
_MOST_BYTES = 2 << 30
_SHADES = " ▁▂▃▄▅▆▇█"


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("calibrate")(calibrate_command)


def calibrate_command(
    data: Annotated[
        Path,
        typer.Option(
            help="Pairs: SIDD as it is downloaded, or a folder with noisy/ and clean/. Or noisy pictures alone, as "
            "`quietcam capture` saves them."
        ),
    ],
    out: Annotated[Path, typer.Option(callback=writable, help="The representative set, an .npz file.")],
    count: Annotated[int, typer.Option(parser=whole(1, 100_000), help="How many patches.")] = 256,
    size: Annotated[int, typer.Option(parser=whole(16, 4096), help="Side of a patch in pixels.")] = 128,
    seed: Annotated[int, typer.Option(parser=whole(0, MOST_SEED), help="Another seed, another set.")] = 0,
    split: Side = "all",
    gray: Annotated[
        bool, typer.Option("--gray", help="One channel, for models of one; colour gives its luma.")
    ] = False,
    rebuild: Annotated[
        Path | None,
        typer.Option(
            metavar="SET.npz|REPORT.json",
            help="Cut the samples of this set again, instead of choosing; all must be as they were.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(callback=writable, help="Write the coverage report with pictures there, one file.")
    ] = None,
    json: Json = None,
) -> None:
    """Choose noisy patches that stand for the camera: int8 ranges are taken from them.

    They are balanced over phone, ISO, brightness, content, luminance and noise, as far as the data tells these.

    Example: `quietcam calibrate --data SIDD_Small_sRGB_Only --split train --out rep.npz --html coverage.html`
    """
    from calibration.coverage import cover
    from calibration.sampling import sample
    from calibration.survey import survey
    from quietcam.data.sets.noisy_pictures import find_noisy
    from quietcam.representative.audit import read_samples
    from quietcam.representative.audit import rebuild as cut_again
    from quietcam.representative.set import save_set
    from quietcam.terminal.progress import say
    from quietcam.terminal.report import report_console, write_report

    if out.suffix != ".npz":
        raise UsageError(f"--out is an .npz file. Received: {out}. Remedy: --out {out.with_suffix('.npz')}")
    if count * size**2 * 3 > _MOST_BYTES:
        raise UsageError(
            f"A set takes at most {_MOST_BYTES >> 30} GiB of memory. Received: --count {count} --size {size}. "
            "Remedy: some hundred patches of 128 are plenty."
        )
    if html is not None:
        import jinja2  # noqa: F401  before the work, not after it
    found = find_noisy(data, split)
    channels = 1 if gray else 3
    if rebuild is not None:
        chosen = cut_again(read_samples(rebuild), data)
        channels, size, count = chosen.channels, min(chosen.patches.shape[1:3]), len(chosen)
        seed = int(chosen.origin.get("seed", seed))
    candidates = survey(found.pictures, size=size, count=count, seed=seed, channels=channels)
    if rebuild is None:
        told: dict[str, Any] = {"split": split}
        if found.capture is not None:
            told["capture"] = found.capture
        chosen = sample(candidates, count=count, seed=seed, data=data.resolve().name, told=told)
    save_set(out, chosen)
    coverage = cover(chosen, candidates)
    write_report(json, coverage.to_dict(out, chosen))
    if html is not None:
        from calibration.page import write_html

        write_html(html, coverage, chosen)
    console = report_console(json)
    console.print(f"{out}", soft_wrap=True)
    _show(coverage, console)
    if chosen.channels == 3:  # as what ships has
        say(f"next: {shlex.join(['quietcam', 'convert', 'small', '--representative', str(out), '--name', 'mine'])}")


def _show(coverage: Coverage, console: Any) -> None:
    from rich.table import Table

    from quietcam.representative.cli import show_findings

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    unseen = f", {coverage.unseen} more not looked at" if coverage.unseen else ""
    table.add_row(
        "patches",
        f"{coverage.patches} of {coverage.width}x{coverage.height}, from {coverage.pictures} of "
        f"{coverage.data_pictures} pictures{unseen}",
    )
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
        console.print(f"in the data and not in the set: {', '.join(coverage.missing)}", soft_wrap=True)
    show_findings(list(coverage.findings), console)


def _sparkline(spread: Spread, shares: tuple[float, ...]) -> str:
    tallest = max(*spread.set, *spread.data)
    return "".join(_SHADES[-(-int(share / tallest * 1000) * (len(_SHADES) - 1) // 1000)] for share in shares)
