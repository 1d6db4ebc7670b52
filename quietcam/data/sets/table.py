"""An index of a data set on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quietcam.data.sets.index import KINDS, DataIndex, summarize
from quietcam.data.sets.split import SIDES

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_index"]

_MOST_ROWS = 30
_MOST_PROBLEMS = 10  # of a kind
_TITLES = {"scene": "scene", "phone": "phone", "iso": "ISO", "brightness": "brightness"}


def show_index(index: DataIndex, console: Console) -> None:
    """Print the table, the split and the problems."""
    from rich.table import Table

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
    for side in SIDES:
        scenes = split["scenes"][side]
        listed = " ".join(scenes[:12]) + (f" and {len(scenes) - 12} more" if len(scenes) > 12 else "")
        console.print(f"  {side:<11}{split['pairs'][side]:>6} pairs, scenes {listed or 'none'}")


def _show_problems(index: DataIndex, console: Console) -> None:
    if not index.problems:
        console.print("nothing wrong found", style="green")
        return
    for kind in KINDS:
        found = [problem for problem in index.problems if problem.kind == kind]
        if found:
            console.print(kind, style="yellow", end=f" {len(found)}\n")
            for problem in found[:_MOST_PROBLEMS]:
                console.print(f"  {problem}", soft_wrap=True)
            if len(found) > _MOST_PROBLEMS:
                console.print(f"  and {len(found) - _MOST_PROBLEMS} more (--json lists all)")
