"""Measures what pruning and quantization-aware training cost and save: size, GMACs, milliseconds, dB of runs as int8.

    python -m benchmarks.training.pruning RUN [RUN ...] --representative rep.npz [--data DIR ...] [--csv …/pruning.csv]

Each run is converted to int8 at 256x256 and 640x480 (by its own ranges after `train --qat`, else by the representative
set: PTQ), and to its float twin. Bare `invoke` of all models is timed in turns in one process, on one thread, so that
the columns can be compared with each other, but not with other runs. PSNR is the mean over each --data set's pairs.

The other runs are compared with the first RUN. Exit code 3 if a run of the same GMACs as the first is faster or slower
than it by more than a tenth: the docs say that zeros alone do not change the time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import RESULTS, append, commit, machine
from compare.costs import measure_times, read_costs
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile, load_model
from quietcam.app.cli import run as quietcam
from quietcam.data.sets.pairs import find_pairs
from quietcam.metrics import psnr
from quietcam.sensor.scenes import make_pair

SIZES = ((256, 256), (640, 480))
SAME = 0.1


def main() -> int:
    """Convert, measure, print, append, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--representative", type=Path, required=True)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--csv", type=Path, default=RESULTS / "pruning.csv")
    options = parser.parse_args()
    if len({each.name for each in options.runs}) < len(options.runs):
        parser.error(f"runs must have different folder names. Received: {', '.join(map(str, options.runs))}")
    with tempfile.TemporaryDirectory() as folder:
        models = {each.name: converted(each, options.representative, Path(folder)) for each in options.runs}
        times: dict[str, dict[str, float]] = {}
        for size in SIZES:
            files = {name: found[recipe_at("int8", size)] for name, found in models.items()}
            times[label(size)] = measure_times(files, {}, make_pair(1, 256)[0], size=size)
        rows = [row(name, found, times, options.data) for name, found in models.items()]
    for each in rows:
        print(*(f"{key} {value}" for key, value in each.items()), sep="  ")
        append(options.csv, {**each, "machine": machine(), "commit": commit()})
    first = rows[0]
    odd = [
        f"{each['run']}: {each[label(size)]} ms at {label(size)}, not {first[label(size)]}"
        for each in rows[1:]
        for size in SIZES
        if each["gmacs_256"] == first["gmacs_256"] and abs(each[label(size)] / first[label(size)] - 1) > SAME
    ]
    print("did not hold: " + "; ".join(odd) if odd else "zeros alone change no time")
    return 3 if odd else 0


def converted(run: Path, representative: Path, folder: Path) -> dict[str, ModelFile]:
    """The models of a run, by recipe and size."""
    sizes = [word for width, height in SIZES for word in ("--size", f"{width}x{height}")]
    words = ["convert", run, "--recipe", "int8", "--recipe", "float32", *sizes, "--out", folder, "--name", run.name]
    if quietcam([*map(str, words), "--representative", str(representative)]):
        raise SystemExit(f"{run} did not convert.")
    return {
        recipe_at(recipe, size): load_model(folder / f"{run.name}_{label(size)}_{recipe}.tflite")
        for recipe in ("int8", "float32")
        for size in SIZES
    }


def row(name: str, found: dict[str, ModelFile], times: dict[str, dict[str, float]], data: list[Path]) -> dict[str, Any]:
    """A line of the results."""
    tile = found[recipe_at("int8", SIZES[0])]
    costs = read_costs(tile)
    line = {
        "run": name,
        "ranges": (tile.manifest.training["ranges"]["from"] if tile.manifest else ""),
        "gmacs_256": costs["gmacs_256"],
        "parameters": costs["parameters"],
        "zeros": costs["sparsity"],
        "bytes": costs["bytes"],
        "gzipped": costs["bytes_gzipped"],
        **{size: times[size][name] for size in times},
    }
    for folder in data:
        for recipe in ("float32", "int8"):
            with Denoiser(found[recipe_at(recipe, SIZES[0])], 1) as denoiser:
                pictures = (pair.read() for pair in find_pairs(folder))
                scores = [psnr(denoiser.denoise(noisy), clean) for noisy, clean in pictures]
            line[f"{'/'.join(folder.parts[-2:])} {recipe}"] = round(float(np.mean(scores)), 3)
    return line


def label(size: tuple[int, int]) -> str:
    """As in a model's file name."""
    return f"{size[0]}x{size[1]}"


def recipe_at(recipe: str, size: tuple[int, int]) -> str:
    """A key."""
    return f"{recipe} {label(size)}"


if __name__ == "__main__":
    sys.exit(main())
