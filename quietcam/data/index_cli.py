"""The command data index: shows the content of a data set as tables on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quietcam.errors import UsageError
from quietcam.terminal.options import Json, number

if TYPE_CHECKING:
    from rich.console import Console

    from quietcam.data.sets.index import DataIndex

__all__ = ["index_command"]

_MOST_ROWS = 30
_MOST_PROBLEMS = 10  # of a kind
_TITLES = {"scene": "scene", "phone": "phone", "iso": "ISO", "brightness": "brightness"}


def index_command(
    data: Annotated[
        Path,
        typer.Argument(
            help="SIDD as downloaded: a folder, .zip or .mat. Or a folder with noisy/ and clean/, or lq/ and gt/."
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            metavar="test=SCENES,validation=SCENES",
            help="Show this split. SCENES are joined by +, or a share. Default: test=0.15,validation=0.15,seed=0.",
        ),
    ] = None,
    max_shift: Annotated[
        float,
        typer.Option(
            parser=number(0, 1000),
            metavar="PIXELS",
            help="Report pairs that are shifted by more than this as misregistered.",
        ),
    ] = 0.5,
    noisy: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|PATTERN",
            help="Name of the folder of the noisy pictures, or a pattern such as '*_5000.JPG', where * stands for what "
            "both files of a pair share. It is kept with the data and every command uses it. Default: the usual names.",
        ),
    ] = None,
    clean: Annotated[
        str | None, typer.Option(metavar="FOLDER|PATTERN", help="The same for the clean pictures.")
    ] = None,
    json: Json = None,
) -> None:
    """Open every picture of a data set and report what is there, how noisy it is, and everything that is wrong.

    Example: `quietcam data index SIDD_Small_sRGB_Only.zip --split test=004,validation=001`
    """
    from quietcam.data.sets.index import index_data
    from quietcam.data.sets.layout import Layout, inside, write_layout
    from quietcam.data.sets.split import SplitRule
    from quietcam.errors import DataError
    from quietcam.terminal.report import report_console, write_report
    from quietcam.terminal.say import say

    if (noisy is None) != (clean is None):
        given = f"--noisy {noisy}" if clean is None else f"--clean {clean}"
        raise UsageError(
            f"--noisy and --clean must be given together. Received: {given} alone. "
            f"Remedy: add {'--clean' if clean is None else '--noisy'}."
        )
    layout = None if noisy is None or clean is None else Layout(inside(data, noisy), inside(data, clean))
    index = index_data(data, rule=SplitRule.parse(split), max_shift=max_shift, layout=layout)
    write_report(json, index.to_dict())
    _show_index(index, report_console(json))
    if layout is not None and index.facts:
        kept = write_layout(data, layout)
        say(
            f"The names are kept in {kept}: every command that reads {data} uses them. Remove that file to forget them."
        )
    if not (index.facts or index.noisy_only):
        raise DataError(
            f"A data set must hold at least one pair that can be used. Received: {data}, which holds none. "
            "Remedy: correct the problems that are listed above."
        )


def _show_index(index: DataIndex, console: Console) -> None:
    """Print the table, the split and the problems."""
    from rich.table import Table

    from quietcam.data.sets.index import summarize

    if index.facts:
        table = Table()
        for head in ("", "", "pairs", "PSNR dB", "least", "greatest", "noise /255", "level /255"):
            table.add_column(head, justify="right" if head else "left", no_wrap=True)
        for key, groups in index.groups().items():
            alone = all(group["pairs"] == 1 for group in groups.values())
            if not groups or (alone and len(groups) > 1 and key == "scene"):
                continue  # pairs without scenes: a row for each says nothing
            shown = list(groups.items())[:_MOST_ROWS]
            for number, (value, group) in enumerate(shown):
                table.add_row(_TITLES[key] if number == 0 else "", value, *_cells(group))
            if len(groups) > len(shown):
                table.add_row("", f"and {len(groups) - len(shown)} more")
            table.add_section()
        table.add_row("all", "", *_cells(summarize(index.facts)))
        console.print(table)
        sizes = list(index.sizes().items())
        more = f", and {len(sizes) - 5} more" if len(sizes) > 5 else ""
        console.print(f"sizes: {', '.join(f'{size} ({count})' for size, count in sizes[:5])}{more}")
    if index.noisy_only:
        sigmas = sorted(row["noise"]["sigma"] for row in index.noisy_only)
        console.print(
            f"{len(index.noisy_only)} noisy pictures without clean twins, "
            f"estimated noise {sigmas[0]:.1f} to {sigmas[-1]:.1f}, median {sigmas[len(sigmas) // 2]:.1f} of 255"
        )
    if index.clips:
        lengths = sorted({len(clip) for clip in index.clips})
        frames = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        console.print(f"{len(index.clips)} clips of {frames} frames")
    if index.facts:
        _show_split(index.split, console)
    _show_problems(index, console)


def _cells(group: dict[str, Any]) -> tuple[str, ...]:
    ratio = group["psnr"]
    ratios = [f"{ratio[key]:.2f}" for key in ("mean", "least", "greatest")] if ratio else ["equal", "", ""]
    return (str(group["pairs"]), *ratios, f"{group['sigma']:.2f}", f"{group['level']:.0f}")


def _show_split(split: dict[str, Any], console: Console) -> None:
    if "error" in split:
        console.print(f"no split ({split['rule']}): {split['error']}")
        return
    console.print(f"split {split['rule']}")
    for side in split["scenes"]:
        scenes = split["scenes"][side]
        listed = " ".join(scenes[:12]) + (f" and {len(scenes) - 12} more" if len(scenes) > 12 else "")
        console.print(f"  {side:<11}{split['pairs'][side]:>6} pairs, scenes {listed or 'none'}")


def _show_problems(index: DataIndex, console: Console) -> None:
    if not index.problems:
        console.print("no problems found", style="green")
        return
    for kind in dict.fromkeys(problem.kind for problem in index.problems):
        found = [problem for problem in index.problems if problem.kind == kind]
        if found:
            console.print(kind, style="yellow", end=f" {len(found)}\n")
            for problem in found[:_MOST_PROBLEMS]:
                console.print(f"  {problem}", soft_wrap=True)
            if len(found) > _MOST_PROBLEMS:
                console.print(f"  and {len(found) - _MOST_PROBLEMS} more (--json lists all)")
