"""Figures as tables and as lines of a CSV file.

A table holds one figure: models below each other, sets beside each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.network.quality.targets import Line
from benchmarks.records import append, commit, machine
from edge.network.modelfile import ModelFile

__all__ = ["append_lines", "missed", "tables"]

Lines = Mapping[str, Sequence[Line]]
Table = list[list[str]]
"""Rows of cells, the head first."""


def tables(lines: Lines, *, markdown: bool = False) -> str:
    """All tables. ``lines`` are the figures by the name of a model, of the peer, or of the noisy side."""
    return "\n\n".join((_markdown if markdown else _text)(table) for table in _tables(lines))


def missed(lines: Lines) -> list[str]:
    """The targets that are missed, a line for each."""
    return [
        f"{name}: {line.figure}{', ' * bool(line.on)}{line.on}: {line.shown}, {line.verdict}"
        for name, each in lines.items()
        for line in each
        if not line.holds
    ]


def append_lines(path: Path, lines: Lines, files: Mapping[str, ModelFile], pictures: str) -> None:
    """Append each figure to a CSV file, with the hash of its model, that of the pictures, the machine and the commit.

    Raises:
        SystemExit: the file has other columns.
    """
    told = {"pictures": pictures, "machine": machine(), "commit": commit()}
    for name, each in lines.items():
        manifest = files[name].manifest if name in files else None
        for line in each:
            must, goal = ("" if limit is None else f"{limit:g}" for limit in (line.must, line.goal))
            row = {"model": name, "sha256": manifest.sha256[:12] if manifest else "", "figure": line.figure}
            row |= {"on": line.on, "value": line.shown, "must": must, "goal": goal, "verdict": line.verdict}
            append(path, row | told)


def _tables(lines: Lines) -> Iterator[Table]:
    """One for each figure, and a last one of the figures that have no set."""
    places: dict[str, dict[str, None]] = {}  # keeps the order, which is that of the longest list
    for each in sorted(lines.values(), key=len, reverse=True):
        for line in each:
            places.setdefault(line.figure, {})[line.on] = None
    whole = [figure for figure, found in places.items() if [*found] == [""]]
    for figure, found in places.items():
        if figure not in whole:
            yield _table(lines, figure, [(figure, on) for on in found], [*found])
    if whole:
        yield _table(lines, "", [(figure, "") for figure in whole], whole)


def _table(lines: Lines, title: str, columns: list[tuple[str, str]], head: list[str]) -> Table:
    rows = [[title, *head]]
    for name, each in lines.items():
        cells = {(line.figure, line.on): _cell(line) for line in each}
        if any(column in cells for column in columns):
            rows.append([name, *(cells.get(column, "") for column in columns)])
    return rows


def _cell(line: Line) -> str:
    return f"{line.shown} {line.verdict}".strip()


def _text(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _markdown(table: Table) -> str:
    marked = [[re.sub(r"^(\S+) missed", r"\1 **missed**", cell) for cell in row] for row in table]
    head, *rows = ["| " + " | ".join(row) + " |" for row in marked]
    return "\n".join([head, "| " + " | ".join("---" for _ in table[0]) + " |", *rows])
