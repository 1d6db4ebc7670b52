"""A comparison as a table on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from convert.compare import Comparison, ModelScore

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["COLUMNS", "cells", "footnote", "show_comparison"]

COLUMNS = ("model", "PSNR dB", "gain", "drop", "SSIM", "bytes", "gzipped", "zeros", "GMACs", "ms")
"""Heads of the columns; GMACs for 256x256, ms for one frame on one thread."""


def cells(row: ModelScore) -> list[str]:
    """One row in the order of ``COLUMNS``; what a row does not have stays empty."""
    return [
        row.title,
        f"{row.psnr:.2f}",
        "" if row.kind == "noisy" else f"{row.gain:+.2f}",
        "" if row.drop is None else f"{row.drop:.3f}",
        f"{row.ssim:.4f}",
        "" if row.bytes is None else f"{row.bytes:,}",
        "" if row.bytes_gzipped is None else f"{row.bytes_gzipped:,}",
        "" if row.sparsity is None else f"{row.sparsity:.0%}",
        "" if row.gmacs_256 is None else f"{row.gmacs_256:.3f}",
        "" if row.ms is None else f"{row.ms:.2f}",
    ]


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print the table, and what its numbers are for."""
    table = Table()
    for index, head in enumerate(COLUMNS):
        table.add_column(head, justify="right" if index else "left", no_wrap=index > 0, overflow="fold")
    for row in comparison.rows:
        style = "bold" if row.name == comparison.subject.name else "dim" if row.kind == "noisy" else ""
        table.add_row(*map(escape, cells(row)), style=style)
    console.print(table)
    console.print(footnote(comparison))


def footnote(comparison: Comparison) -> str:
    """What the numbers are for."""
    drop = f"drop in dB against {comparison.reference}; " if comparison.reference else ""
    skipped = f", {len(comparison.problems)} pairs left out" if comparison.problems else ""
    return (
        f"{len(comparison.pairs)} pictures of {comparison.data}{skipped}; {drop}GMACs for 256x256; "
        f"ms for one frame of {comparison.width}x{comparison.height} on one thread"
    )
