"""Figures that a benchmark prints, writes, and compares with their limits."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.records import append, commit, machine

__all__ = ["Judged"]


@dataclass
class Judged:
    """Call it with each figure.

    Args:
        path: the CSV file that the figures are appended to.
        run: what stands beside each of them: what was measured, and how.
        width: of the column of names that is printed.
    """

    path: Path
    run: Mapping[str, object]
    width: int
    _missed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        self._about = {"date": date, "commit": commit(), "machine": machine(), **self.run}

    def __call__(self, what: str, value: float, holds: bool | None = None) -> None:
        """Print and write a figure. holds: whether it is within its limit; None if it has none."""
        verdict = "" if holds is None else "  holds" if holds else "  DOES NOT HOLD"
        print(f"{what:{self.width}}{value:10.3f}{verdict}", flush=True)
        append(self.path, self._about | {"what": what, "value": round(value, 3)})
        if holds is False:
            self._missed.append(what)

    def exit_code(self) -> int:
        """3 if a figure was not within its limit, after a line that names it; otherwise 0."""
        if self._missed:
            print(f"did not hold: {', '.join(self._missed)}")
        return 3 if self._missed else 0
