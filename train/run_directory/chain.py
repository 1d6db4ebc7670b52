"""Every run behind a network, the first one first: what each did, with which data, teacher and settings, and how long.

They are ``runs`` in the ``data`` of ``evaluation.json``, and in the ``training`` of a manifest. Each has

- ``phase``, as in ``history.csv``; ``steps``, ``seconds`` of training, and ``psnr`` on the validation crops, dB;
- ``began_with``: SHA-256 of the file of the network that it began with, None for random weights; ``network``: that of
  its own ``model.keras``;
- ``data``: SHA-256 of its data, which is described beside ``runs`` or in ``earlier``;
- ``teacher``, if it had one: ``name``, ``sha256``, ``weight``, its data and license, and the ``runs`` behind it; and
  ``fusion``: the same without a weight of the network whose fusion it began with;
- ``settings``: the sections of its config that it used; ``tools``.

Of a run from before this was recorded, only ``phase``, ``steps``, ``seconds`` and ``psnr`` are told, and of the last
one ``network``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quietcam.evaluation import EVALUATION
from train.config import RunConfig
from train.run_directory.history import HistoryRow
from train.run_directory.read import TrainedRun

__all__ = ["Beginning", "origin_with_runs", "tell_network", "tell_run"]

Runs = list[dict[str, Any]]

_SECTIONS = {"train": (), "prune": ("pruning",), "channels": ("pruning",), "qat": ("qat",)}
_PLACES = ("weights", "fusion")  # of other networks, which are told by their hashes


@dataclass(frozen=True)
class Beginning:
    """What a run is and begins with. It is read before training, since a teacher may be gone when training ends.

    Attributes:
        phase: as in ``history.csv``.
        began_with: SHA-256 of the file of the network that it begins with; None for random weights.
        earlier: the data that this network was trained on, and the ``runs`` behind it; empty for random weights.
        teacher, fusion: what is told of its teacher, and of the network whose fusion it begins with; None without one.
    """

    phase: str
    began_with: str | None
    earlier: Mapping[str, Any]
    teacher: Mapping[str, Any] | None = None
    fusion: Mapping[str, Any] | None = None


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
    settings = {name: {k: v for k, v in sections[name].items() if k not in _PLACES} for name in used}
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
    others = {"teacher": beginning.teacher, "fusion": beginning.fusion}
    told |= {key: dict(other) for key, other in others.items() if other is not None}
    return [*beginning.earlier.get("runs", []), told]


def tell_network(name: str, sha256: str, origin: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of another network that a run learns from: of its path the last part, its data, and its runs."""
    kept = ("data", "licence", "sources", "runs")
    return {"name": Path(name).name, "sha256": sha256} | {key: origin[key] for key in kept if key in origin}


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
    found: Runs = [
        {
            "phase": phase,
            "steps": int(row["step"]),
            "seconds": float(row["seconds"]),
            "psnr": float(row["validation_psnr"]),
        }
        for phase, row in last.items()
    ]
    if found:
        found[-1]["network"] = run.sha256
    weights = run.evaluation.treatments.weights
    if weights is None or not all((Path(weights.begun_with) / name).is_file() for name in ("model.keras", EVALUATION)):
        return found
    before = TrainedRun(Path(weights.begun_with))
    return [*origin_with_runs(before)["runs"], *found] if before.sha256 == weights.sha256 else found
