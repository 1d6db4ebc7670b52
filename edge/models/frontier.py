"""Which of the models that ship are worth their time on this machine: milliseconds measured here, dB from manifests."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from edge.child.trial import try_unknown
from edge.models import describe, resolve_model, shipped_models
from edge.network.interpreter import Interpreter, check_threads
from edge.network.modelfile import load_model
from edge.network.runtime.instructions import instructions_here
from edge.network.tiles import grid_of
from edge.turns import take_turns
from quietcam.quality.frontier import beaten_by

__all__ = ["measure_models", "score", "shared_sets", "shipped_names"]

_RUNS, _SECONDS = 30, 3.0  # of each model, whichever ends first
_VIDEO = "-video"  # the end of a video network's name; before it stands that of its still network

Sets = Mapping[str, Mapping[str, float]]
"""Scores by the name of the data set, as a manifest's ``metrics.by_set`` holds them."""


def shipped_names() -> list[str]:
    """The names of the networks that ship as int8, each video network after its still one."""
    return sorted({path.stem.split("_")[0] for path in shipped_models() if path.stem.endswith("_int8")})


def measure_models(
    size: tuple[int, int],
    threads: int | None = None,
    *,
    runs: int = _RUNS,
    seconds: float = _SECONDS,
    on_run: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Time the int8 models that ship, in turns, and find which of them are on the frontier.

    The bare network is timed, once for each tile that a frame needs. One run of each to warm up comes first.

    Args:
        size: ``(width, height)`` of the frames.
        threads: as for :class:`edge.network.interpreter.Interpreter`.
        runs, seconds: as for :func:`edge.turns.take_turns`, with ``seconds`` for one tile.
        on_run: called after each run with what it did of one model, 0 to 1; in all ``len(shipped_names())``.

    Returns:
        For JSON: ``width``, ``height``, ``threads``, ``runtime``, ``instructions``, ``sets`` (``still`` and ``video``:
        the names of the data sets by which networks of that kind are compared), and ``models``. Each of these is
        ``describe`` of the model, and

        - ``model``: its name without size and recipe; ``still``: of a video network, the name of its still network.
        - ``ms``: the median for one frame; ``fps``; ``runs``: how many were timed; ``invokes_per_frame``.
        - ``times_of_still``: of a video network, its ms divided by those of its still network.
        - ``gain`` and ``denoised_psnr``: dB, means over ``sets``; None if it was measured on other pictures.
        - ``frontier``: whether no other network of its kind beats it; None without a gain. ``beaten_by``: the name of
          the one that does.

    Raises:
        UsageError: ``threads`` is not 1 to 256.
        ModelError: this runtime cannot run a model.
    """
    width, height = size
    models = {name: load_model(resolve_model(name, size)) for name in shipped_names()}
    report: dict[str, Any] = {"width": width, "height": height, "threads": check_threads(threads)}
    with ExitStack() as stack:
        interpreters = {}
        for name, model in models.items():
            try_unknown(model, size, threads)
            interpreters[name] = each = stack.enter_context(Interpreter(model, threads))
            each.put(np.random.default_rng(0).integers(0, 256, each.shape, np.uint8))
            each.invoke()
            report["runtime"] = each.runtime
        taken = take_turns({name: each.invoke for name, each in interpreters.items()}, runs, seconds, on_run=on_run)
    rows: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        often = len(grid_of(model, height, width)) * (3 // model.channels)
        ms = 1000 * often * statistics.median(taken[name])
        rows[name] = {"model": name, **describe(model), "invokes_per_frame": often, "runs": len(taken[name])}
        rows[name] |= {"ms": round(ms, 3), "fps": round(1000 / ms, 2)}
        if model.remembers:
            still = name.removesuffix(_VIDEO)
            rows[name]["still"] = still if still != name and still in models else None
    for row in rows.values():
        if row.get("still"):
            row["times_of_still"] = round(row["ms"] / rows[row["still"]]["ms"], 3)
    report |= {"instructions": instructions_here().report(), "sets": {}}
    for kind, remembers in (("still", False), ("video", True)):
        group = {name: row for name, row in rows.items() if row["history"] is remembers}
        report["sets"][kind] = list(_judge(group, remembers))
    return report | {"models": list(rows.values())}


def _judge(rows: Mapping[str, dict[str, Any]], of_clips: bool) -> tuple[str, ...]:
    """Write gain and frontier into the rows of one kind of network; return the sets that they are compared by."""
    by_set = {name: _of_kind(row["by_set"], of_clips) for name, row in rows.items()}
    sets = shared_sets(by_set)
    points = {}
    for name, row in rows.items():
        found = score(by_set[name], sets)
        row["denoised_psnr"], row["gain"] = found or (None, None)
        if found:
            points[name] = row["ms"], row["gain"]
    better = beaten_by(points)
    for name, row in rows.items():
        row["beaten_by"] = better.get(name)
        row["frontier"] = better[name] is None if name in better else None
    return sets


def _of_kind(by_set: Sets | None, of_clips: bool) -> Sets:
    """The scores on clips, or those on pictures."""
    return {
        name: each for name, each in (by_set or {}).items() if (each.get("without_history") is not None) is of_clips
    }


def shared_sets(by_model: Mapping[str, Sets]) -> tuple[str, ...]:
    """The data sets on which the most models were measured, and all of these models on each of them.

    >>> a, b = {"psnr": 35.0, "noisy_psnr": 23.0}, {"psnr": 30.0, "noisy_psnr": 20.0}
    >>> shared_sets({"nano": {"x": a, "y": b}, "small": {"x": a, "y": b}, "demo": {"z": a}})
    ('x', 'y')
    """
    models = {
        name: frozenset(model for model, sets in by_model.items() if name in sets)
        for each in by_model.values()
        for name in each
    }
    counts = Counter(models.values())
    most = max(counts, key=lambda group: (len(group), counts[group], sorted(group)), default=frozenset())
    return tuple(sorted(name for name, group in models.items() if group == most))


def score(scores: Sets, sets: tuple[str, ...]) -> tuple[float, float] | None:
    """PSNR and its gain over the noisy pictures in dB, means over ``sets``; None if the model lacks one of them."""
    if not sets or any(name not in scores for name in sets):
        return None
    psnr = statistics.fmean(scores[name]["psnr"] for name in sets)
    return round(psnr, 3), round(psnr - statistics.fmean(scores[name]["noisy_psnr"] for name in sets), 3)
