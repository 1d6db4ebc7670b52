"""Checks that the input pipeline is fast enough: packed patches against a bare copy and a training step, in one run.

    python -m benchmarks.training.input_pipeline [--seconds 20] [--csv benchmarks/results/input_pipeline.csv]

It packs generated pictures into shards, then measures these in turns, so that a slow phase of the machine affects all:

- copy: a bare loop that copies the crops of that stream from the mapped shards into a preallocated uint8 batch;
- gather: the stream of uint8 batches before augmentation;
- pipeline: the whole stream, shuffled, cropped, mirrored and turned, float32;
- step: one training step (forward, backward, Adam) of a 0.4-GMAC network on a batch that is in memory.

All use batches of 32 at 128x128 from packed patches of 256x256. Figures are medians over the turns. Two limits must
hold (exit code 3 if one does not): pipeline at least 5 times step, gather at least half of copy.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.records import RESULTS, append, commit, machine
from quietcam.architecture import Architecture
from quietcam.data.packed.pack import pack
from quietcam.data.packed.reader import ShardSet, open_shards
from quietcam.data.pictures.files import write_picture

if TYPE_CHECKING:
    from train.patches.sources import ShardSource

BATCH, PATCH, STORED = 32, 128, 256
COPIED = 400  # batches that the bare loop knows, each crop at another place, before it begins again
PIPELINE_OVER_STEP, GATHER_OVER_COPY = 5.0, 0.5
NETWORK = Architecture(stem=2, widths=(24, 32, 64, 96), depths=(1, 2, 2, 2))


def main() -> int:
    """Measure, print, append a line, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="about how long to measure")
    parser.add_argument("--pictures", type=int, default=24, help="of 1024x1024, 16 patches each")
    parser.add_argument("--csv", type=Path, default=RESULTS / "input_pipeline.csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shards = packed(Path(folder), options.pictures)
        speed = measure(shards, options.seconds)
    gather, pipeline = speed["gather"] / speed["copy"], speed["pipeline"] / speed["step"]
    for name, value in speed.items():
        print(f"{name:10}{value:12.0f} patches/s")
    print(f"gather is {gather:.2f} of copy (at least {GATHER_OVER_COPY})")
    print(f"pipeline is {pipeline:.1f} times step (at least {PIPELINE_OVER_STEP})")
    append(
        options.csv,
        {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "commit": commit(),
            "machine": machine(),
            "gmacs_256": round(NETWORK.gmacs(), 3),
            **{f"{name}_patches_per_s": round(value) for name, value in speed.items()},
            "gather_over_copy": round(gather, 3),
            "pipeline_over_step": round(pipeline, 2),
        },
    )
    return 0 if gather >= GATHER_OVER_COPY and pipeline >= PIPELINE_OVER_STEP else 3


def packed(folder: Path, pictures: int) -> ShardSet:
    """Shards of noise: speed does not depend on what the pixels show."""
    generator = np.random.default_rng(0)
    for number in range(pictures):
        for side in ("noisy", "clean"):
            pixels = generator.integers(0, 256, (1024, 1024, 3), np.uint8)
            path = folder / "pairs" / side / f"{number:03d}.jpg"
            write_picture(path, pixels)
    pack(folder / "pairs", folder / "packed", patch=STORED)
    return open_shards(folder / "packed")


def measure(shards: ShardSet, seconds: float) -> dict[str, float]:
    """Patches per second of each contestant, the median of their turns."""
    from train.patches.dataset import training_patches
    from train.patches.sources import ShardSource

    source = ShardSource(shards)
    contestants: dict[str, Callable[[float], float]] = {
        "copy": copier(source),
        "gather": stream(training_patches(source, patch=PATCH, batch=BATCH, seed=0, as_float=False, augment=False)),
        "pipeline": stream(training_patches(source, patch=PATCH, batch=BATCH, seed=0)),
        "step": stepper(),
    }
    turns = max(3, round(seconds / 4))
    for run in contestants.values():
        run(0.5)  # warm up: page cache, tracing
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, run in contestants.items():
            found[name].append(run(1.0))
    return {name: float(np.median(values)) for name, values in found.items()}


def counted(one: Callable[[], object]) -> Callable[[float], float]:
    """Patches per second if ``one`` is called for this many seconds, a batch each time."""

    def run(seconds: float) -> float:
        batches, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            one()
            batches += 1
        return batches * BATCH / passed

    return run


def copier(source: ShardSource) -> Callable[[float], float]:
    """The bare loop over the crops of the stream, in its order; their positions are looked up beforehand."""
    from train.patches.dataset import Batches

    batches = Batches(source, PATCH, BATCH, seed=0, augment=False)
    crops = [(*pair, y, x) for number in range(COPIED) for pair, (y, x), _ in batches.cuts(number)]
    noisy, clean = (np.zeros((BATCH, PATCH, PATCH, 3), np.uint8) for _ in range(2))
    at = 0

    def one() -> None:
        nonlocal at
        for i in range(BATCH):
            a, b, y, x = crops[at]
            noisy[i] = a[y : y + PATCH, x : x + PATCH]
            clean[i] = b[y : y + PATCH, x : x + PATCH]
            at = (at + 1) % len(crops)

    return counted(one)


def stream(batches: object) -> Callable[[float], float]:
    """Taking batches out of a ``tf.data`` stream, as a training loop does."""
    iterator = iter(batches)  # type: ignore[call-overload]
    return counted(lambda: next(iterator))


def stepper() -> Callable[[float], float]:
    """One training step after another, as in the trainer, on one batch."""
    import tensorflow as tf
    import tf_keras as keras

    from train.losses import charbonnier
    from train.model import build

    model = build(NETWORK)
    optimizer = keras.optimizers.Adam(1e-4, clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    noisy = tf.random.stateless_uniform([BATCH, PATCH, PATCH, 3], [0, 0])

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = charbonnier(noisy, model(noisy, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return counted(lambda: float(step()))


if __name__ == "__main__":
    sys.exit(main())
