"""Every run behind a network, the first one first: what each did, with which data, teacher and settings, and how long.

They are ``runs`` in the ``data`` of ``evaluation.json``, and in the ``training`` of a manifest. Each has

- ``phase``, as in ``history.csv``; ``steps``, ``seconds`` of training, and ``psnr`` on the validation crops, dB;
- ``began_with``: SHA-256 of the file of the network that it began with, None for random weights; ``network``: that of
  its own ``model.keras``;
- ``data``: SHA-256 of its data, which is described beside ``runs`` or in ``earlier``;
- ``teacher``, if it had one: ``name``, ``sha256``, ``weight``, its data and license, and the ``runs`` behind it;
- ``settings``: the sections of its config that it used; ``tools``.

Of a run from before this was recorded, only what ``history.csv`` has is told: ``phase``, ``steps``, ``seconds``,
``psnr``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.config import RunConfig
from train.run_directory.history import HistoryRow
from train.run_directory.read import TrainedRun

__all__ = ["Beginning", "origin_with_runs", "tell_run"]

Runs = list[dict[str, Any]]

_SECTIONS = {"train": (), "prune": ("pruning",), "channels": ("pruning",), "qat": ("qat",)}


@dataclass(frozen=True)
class Beginning:
    """What a run is and begins with. It is read before training, since a teacher may be gone when training ends.

    Attributes:
        phase: as in ``history.csv``.
        began_with: SHA-256 of the file of the network that it begins with; None for random weights.
        earlier: the data that this network was trained on, and the ``runs`` behind it; empty for random weights.
        teacher: what is told of its teacher; None without one.
    """

    phase: str
    began_with: str | None
    earlier: Mapping[str, Any]
    teacher: Mapping[str, Any] | None = None


def tell_run(
    beginning: Beginning,
    config: RunConfig,
    rows: Sequence[HistoryRow],
    *,
    psnr: float,
    network: str,
    data: Mapping[str, Any],
    tools: Mapping[str, str],
) -> Runs:
    """The runs behind a network whose last run has just ended.

    Args:
        rows: its lines of ``history.csv``.
        psnr: dB on the validation crops.
        network: SHA-256 of its ``model.keras``.
        data: its own data, without earlier data.
    """
    sections = config.to_dict()
    used = ["training", *_SECTIONS[beginning.phase], "noise", *(["video"] if config.model.history else [])]
    settings = {name: {k: v for k, v in sections[name].items() if k != "weights"} for name in used}
    told = {
        "phase": beginning.phase,
        "steps": rows[-1].step if rows else 0,
        "seconds": rows[-1].seconds if rows else 0.0,
        "psnr": psnr,
        "began_with": beginning.began_with,
        "network": network,
        "data": data.get("sha256"),
        "settings": settings,
        "tools": dict(tools),
    }
    if beginning.teacher is not None:
        told["teacher"] = dict(beginning.teacher)
    return [*beginning.earlier.get("runs", []), told]


def origin_with_runs(run: TrainedRun) -> dict[str, Any]:
    """The data that a run's network was trained on, with all runs behind it."""
    data = dict(run.evaluation.data)
    return data if "runs" in data else data | {"runs": _runs_of_old(run)}


def _runs_of_old(run: TrainedRun) -> Runs:
    """The runs behind a run that does not tell them: those of its history, after those of the run that it began with,
    where that still lies in its place."""
    path, last = run.path / "history.csv", {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            last = {row["phase"]: row for row in csv.DictReader(file)}
    found = [
        {
            "phase": phase,
            "steps": int(row["step"]),
            "seconds": float(row["seconds"]),
            "psnr": float(row["validation_psnr"]),
        }
        for phase, row in last.items()
    ]
    weights = run.evaluation.treatments.weights
    if weights is None or not (Path(weights.begun_with) / "model.keras").is_file():
        return found
    before = TrainedRun(Path(weights.begun_with))
    return [*origin_with_runs(before)["runs"], *found] if before.sha256 == weights.sha256 else found
