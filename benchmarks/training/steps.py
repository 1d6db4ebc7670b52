"""Times a training step in float32 and in bfloat16, with and without XLA, for each config's network.

    python -m benchmarks.training.steps [CONFIG ...] [--csv benchmarks/results/steps.csv]

Medians of whole steps of the config's batch (default configs: nano, small, base), in turns in one process, so that the
columns can be compared with each other, but not with other runs. Exit code 3 if the choice of ``auto`` is slower than
another one by more than a fifth.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.records import RESULTS, append, commit, machine
from train.config import RunConfig, load_config
from train.devices import choose_xla
from train.model import build
from train.precision import choose_precision
from train.schedule import Budget
from train.trainer import Loop

CHOICES = (("float32", False), ("mixed_bfloat16", False), ("float32", True), ("mixed_bfloat16", True))
ROUNDS, STEPS, SLOWER = 5, 4, 1.2


def main() -> int:
    """Measure, print, append, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", default=["nano", "small", "base"], metavar="CONFIG")
    parser.add_argument("--csv", type=Path, default=RESULTS / "steps.csv")
    options = parser.parse_args()
    taken, slow = (choose_precision("auto"), choose_xla("auto")), []
    for name in options.configs:
        times = measure(load_config(name))
        row = {label(*choice): round(1000 * times[choice], 1) for choice in CHOICES}
        print(name, *(f"{key} {value} ms" for key, value in row.items()), f"auto {label(*taken)}", sep="  ")
        append(options.csv, {"config": name, **row, "auto": label(*taken), "machine": machine(), "commit": commit()})
        if times[taken] > SLOWER * min(times.values()):
            slow.append(f"{name}: {label(*taken)} {row[label(*taken)]} ms, best {min(row.values())}")
    print("auto is slow here: " + "; ".join(slow) if slow else "auto takes what is fast here")
    return 3 if slow else 0


def measure(config: RunConfig) -> dict[tuple[str, bool], float]:
    """Seconds of a step by precision and XLA."""
    side, batch = config.training.patch, config.training.batch
    noisy = tf.constant(np.random.default_rng(0).random((batch, side, side, config.model.channels), np.float32))
    clean = noisy * 0.9
    steps = {choice: step(config, *choice) for choice in CHOICES}
    for each in steps.values():
        each(noisy, clean)  # builds the graph
        each(noisy, clean)
    taken: dict[tuple[str, bool], list[float]] = {choice: [] for choice in CHOICES}
    for _ in range(ROUNDS):
        for choice, each in steps.items():
            for _ in range(STEPS):
                start = time.perf_counter()
                each(noisy, clean)
                taken[choice].append(time.perf_counter() - start)
    return {choice: float(np.median(seconds)) for choice, seconds in taken.items()}


def step(config: RunConfig, precision: str, xla: bool) -> Callable[[Any, Any], float]:
    """One training step of the config's network."""
    loop = Loop("train", build(config.model, precision=precision), Budget(1, 1), 1e-3, average=0.999, xla=xla)
    return loop._step_function()


def label(precision: str, xla: bool) -> str:
    """A choice, as a column."""
    return f"{precision.removeprefix('mixed_')}{' XLA' if xla else ''}"


if __name__ == "__main__":
    sys.exit(main())
