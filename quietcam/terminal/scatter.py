"""A small plot of points as text, for every terminal: ASCII, without color."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Dot", "scatter"]

_AXIS = 8  # columns left of the plot: a number and the axis
_NICE = (1, 2, 5)


@dataclass(frozen=True)
class Dot:
    """A point of a plot: ``x`` above 0, ``y``, its name, and the one character that marks it."""

    name: str
    x: float
    y: float
    mark: str


def scatter(dots: Sequence[Dot], x_title: str, y_title: str, width: int = 78, height: int = 12) -> list[str]:
    """The lines of a plot, none longer than ``width`` (at least 40) characters. The x axis is logarithmic.

    Every mark is shown; where several share a place, the last one. A name is written beside its mark where there is
    room.
    """
    if not dots:
        return []
    columns = max(width, 40) - _AXIS
    left, right = _spread([math.log(each.x) for each in dots], math.log(2))
    low, high = _spread([each.y for each in dots], 0.5)
    grid = [[" "] * columns for _ in range(height)]
    places = [
        (
            height - 1 - round((each.y - low) / (high - low) * (height - 1)),
            round((math.log(each.x) - left) / (right - left) * (columns - 1)),
        )
        for each in dots
    ]
    for each, (row, column) in zip(dots, places, strict=True):
        grid[row][column] = each.mark
    for each, (row, column) in zip(dots, places, strict=True):
        _write_name(grid, each.name, row, column)
    lines = [y_title]
    for row, cells in enumerate(grid):
        value = f"{low + (high - low) * (height - 1 - row) / (height - 1):.1f}" if row % 3 == 0 else ""
        lines.append(f"{value:>{_AXIS - 2}} |{''.join(cells)}".rstrip())
    lines.append(" " * (_AXIS - 1) + "+" + "-" * columns)
    lines.append((" " * _AXIS + _ticks(left, right, columns, x_title)).rstrip())
    return lines


def _spread(values: Sequence[float], least: float) -> tuple[float, float]:
    """Both ends of an axis: a tenth wider than the values, and at least ``least`` long."""
    low, high = min(values), max(values)
    room = max(0.1 * (high - low), (least - (high - low)) / 2)
    return low - room, high + room


def _write_name(grid: list[list[str]], name: str, row: int, column: int) -> None:
    """Write a name right or left of its mark, or in the line above or below, where it is still empty."""
    beside = ((row, column + 2), (row, column - len(name) - 1))
    over = tuple((row + step, column - len(name) // 2) for step in (-1, 1))
    for line, start in beside + over:
        end = start + len(name)
        if not (0 <= line < len(grid) and start >= 0 and end <= len(grid[line])):
            continue
        if all(cell == " " for cell in grid[line][max(0, start - 1) : end + 1]):
            grid[line][start:end] = name
            return


def _ticks(left: float, right: float, columns: int, title: str) -> str:
    """Round numbers below a logarithmic axis, each at its place, and the title at the right end."""
    cells = [" "] * columns
    start = columns - len(title)
    cells[max(0, start) :] = title[-columns:]
    first, last = math.floor(left / math.log(10)), math.ceil(right / math.log(10))
    for value in (nice * 10.0**power for power in range(first, last + 1) for nice in _NICE):
        label = f"{value:g}"
        place = round((math.log(value) - left) / (right - left) * (columns - 1))
        room = slice(max(0, place - 1), place + len(label) + 1)
        if place >= 0 and place + len(label) < start and all(cell == " " for cell in cells[room]):
            cells[place : place + len(label)] = label
    return "".join(cells)
