"""A comparison as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from compare.blame.values import LEAST_COST
from compare.regions import LIGHTS, REGIONS
from compare.scores import Comparison, GateCheck, ModelScore

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "COLUMNS",
    "GROUP_TITLES",
    "begin_table",
    "cells",
    "footnote",
    "print_gate",
    "show_comparison",
    "sort_values",
]

COLUMNS = ("model", "PSNR dB", "gain", "drop", "SSIM", "bytes", "gzipped", "zeros", "GMACs", "ms")
"""Heads of the columns; GMACs for 256x256, ms for one frame."""

GROUP_TITLES = {"iso": "ISO", "phone": "phone", "brightness": "brightness"}
"""The groups, in the order in which they are shown."""

_LAYERS = 3


def cells(row: ModelScore) -> list[str]:
    """One row in the order of ``COLUMNS``; a missing value is an empty text."""
    return [
        row.title,
        f"{row.psnr:.2f}",
        "" if row.kind == "noisy" else f"{row.gain:+.2f}",
        _drop(row.drop),
        f"{row.ssim:.4f}",
        "" if row.bytes is None else f"{row.bytes:,}",
        "" if row.bytes_gzipped is None else f"{row.bytes_gzipped:,}",
        "" if row.sparsity is None else f"{row.sparsity:.0%}",
        "" if row.gmacs_256 is None else f"{row.gmacs_256:.3f}",
        "" if row.ms is None else f"{row.ms:.2f}",
    ]


def sort_values(row: ModelScore) -> list[float | str | None]:
    """The values that the cells of a row are sorted by."""
    return [
        *(row.title, row.psnr, None if row.kind == "noisy" else row.gain, row.drop, row.ssim),
        *(row.bytes, row.bytes_gzipped, row.sparsity, row.gmacs_256, row.ms),
    ]


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print the tables, and under them what was measured."""
    table = begin_table(COLUMNS)
    for row in comparison.rows:
        table.add_row(*cells(row), style=_style(comparison, row))
    console.print(table)
    console.print(footnote(comparison))
    for kind, title in GROUP_TITLES.items():
        if any(kind in row.groups for row in comparison.rows):
            console.print(_groups(comparison, kind, title))
    console.print(_regions(comparison))
    for blamed in comparison.blame:
        for place, layer in enumerate(blamed.worst[:_LAYERS]):
            if place == 0:
                console.print(blamed.verdict)
            elif layer.cost >= LEAST_COST:
                console.print(f"  then {layer.name} ({layer.kind}), {layer.cost:.3f} dB: {layer.cause}")
    print_gate(comparison.gate, "pictures", console)


def print_gate(checks: Sequence[GateCheck], counted: str, console: Console) -> None:
    """Print a line for each check of the gate. ``counted``: what its drop is the mean of, as ``pictures``."""
    for check in checks:
        mark = "holds " if check.holds else "MISSED"
        console.print(
            f"{mark}  {check.model}, {check.where} ({check.pictures} {counted}): {check.drop:.3f} dB under "
            f"{check.reference} (at most {check.limit:g})"
        )


def begin_table(heads: Sequence[str], *, fold_heads: bool = False) -> Table:
    """A table without rows: the first column of words, the others of numbers."""
    table = Table()
    for index, head in enumerate(heads):
        table.add_column(
            head, justify="right" if index else "left", no_wrap=index > 0 and not fold_heads, overflow="fold"
        )
    return table


def footnote(comparison: Comparison) -> str:
    """What was measured: pictures, data, units, frame size and threads."""
    drop = "drop in dB against the float twin; " if comparison.reference else ""
    skipped = f", {len(comparison.problems)} pairs left out" if comparison.problems else ""
    threads = comparison.machine["timed_threads"]
    return (
        f"{comparison.pictures} pictures of {comparison.data}{skipped}; {drop}GMACs for 256x256; "
        f"ms for one frame of {comparison.width}x{comparison.height} on {threads} thread{'s' if threads > 1 else ''}"
    )


def _groups(comparison: Comparison, kind: str, title: str) -> Table:
    """PSNR of every row in each group, and the subject's drop there."""
    subject = comparison.subject
    heads = [title, "pictures", *(row.name for row in comparison.rows)]
    table = begin_table([*heads, "drop"] if subject.reference else heads, fold_heads=True)
    for value, group in subject.groups[kind].items():
        values = [f"{row.groups[kind][value].psnr:.2f}" for row in comparison.rows]
        drop = [_drop(group.drop)] if subject.reference else []
        table.add_row(value, str(group.pictures), *values, *drop)
    return table


def _regions(comparison: Comparison) -> Table:
    """PSNR by region and light, color bias and banding, of every row."""
    heads = ["PSNR dB of", *REGIONS, *LIGHTS, "bias R, G, B", "banding"]
    table = begin_table(heads)
    for row in comparison.rows:
        scores = [*(row.regions[each] for each in REGIONS), *(row.lights[each] for each in LIGHTS)]
        values = ["" if each.psnr is None else f"{each.psnr:.2f}" for each in scores]
        bias = ", ".join(f"{each:+.2f}" for each in row.bias)
        banding = "" if row.banding is None else f"{row.banding:.2f}"
        table.add_row(row.name, *values, bias, banding, style=_style(comparison, row))
    return table


def _style(comparison: Comparison, row: ModelScore) -> str:
    return "bold" if row.name == comparison.subject.name else "dim" if row.kind == "noisy" else ""


def _drop(drop: float | None) -> str:
    return "" if drop is None else f"{drop:.3f}"
