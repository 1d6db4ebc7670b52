"""Reads and writes ``history.csv``, which has a line for each validation of a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from quietcam.files.atomic import write_text

__all__ = ["HistoryRow", "write_history"]


@dataclass(frozen=True)
class HistoryRow:
    """One line of ``history.csv``.

    Attributes:
        seconds: since the phase began. loss: the mean since the line before.
        validation_psnr: dB, the mean over the validation sets. by_set: the PSNR of each, as text.
    """

    phase: str
    step: int
    seconds: float
    learning_rate: float
    loss: float
    validation_psnr: float
    by_set: str = ""

    @classmethod
    def of(
        cls,
        phase: str,
        step: int,
        seconds: float,
        learning_rate: float,
        losses: Sequence[float],
        found: Mapping[str, float],
    ) -> HistoryRow:
        """The line of a validation. ``found`` is the PSNR in dB by the name of the validation set."""
        by_set = "; ".join(f"{name} {value:.3f}" for name, value in found.items())
        psnr = float(np.mean(list(found.values())))
        return cls(phase, step, round(seconds, 2), learning_rate, float(np.mean(losses)), psnr, by_set)


def write_history(path: Path, rows: list[HistoryRow], phase: str) -> None:
    """Write the ``rows`` of ``phase`` into ``history.csv``; they replace earlier rows of that phase."""
    earlier: list[dict[str, object]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            earlier = [dict(row) for row in csv.DictReader(file) if row["phase"] != phase]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(HistoryRow.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(earlier)
    writer.writerows(
        {
            **asdict(row),
            "learning_rate": f"{row.learning_rate:.3g}",
            "loss": f"{row.loss:.6f}",
            "validation_psnr": f"{row.validation_psnr:.3f}",
        }
        for row in rows
    )
    write_text(path, text.getvalue())
