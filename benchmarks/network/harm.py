"""Measures what the do-no-harm gate keeps and what it costs: every set without and with it, as pictures and streams.

    python -m benchmarks.network.harm [--data ../shared/data] [--model demo_256x256_int8] [--csv FILE]

PSNR in dB against the clean side, means over a set; untouched pictures count as 80 dB. "clean" means that the clean
side is the input, compared with itself. "stream" is the first frame of a stream for noisy sides, the sixth for clean
ones. Sets that do not exist are skipped. Exit code 3 when a clean side of sidd_native/valid or a generated scene keeps
less than 45 dB, those of sidd_small_256/valid less than 40 dB in the mean, or noisy sides of sidd_native/valid or of
generated pairs lose more than 0.1 dB in the mean.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.records import DATA, RESULTS
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile, load_model
from quietcam.data.pictures.files import read_picture
from quietcam.data.pictures.folder import list_pictures
from quietcam.data.sets.pairs import find_pairs
from quietcam.files.atomic import atomic_path
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.scenes import generate_scene, make_pair

PAIRS = ("sidd_native/valid", "sidd_small_256/valid", "sidd_native/train", "sidd_small_256/train")
CLEAN = ("clean/kodak24", "clean/machine_camera")
COLUMNS = ("pictures", "noisy", "off", "on", "stream", "clean_off", "clean_on", "clean_worst", "clean_stream")
Figures = dict[str, dict[str, float]]


def main() -> int:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="demo_256x256_int8")
    parser.add_argument("--csv", type=Path, default=RESULTS / "gate.csv")
    options = parser.parse_args()
    model = load_model(resolve_model(options.model))
    found: dict[str, list[dict[str, float]]] = {}
    with Denoiser(model, 1) as off, Denoiser(model, 1, gate=True) as on:
        for name, noisy, clean in pictures(options.data):
            found.setdefault(name, []).append(measure(model, off, on, noisy, clean))
    print(f"{'set':24}" + "".join(f"{column:>13}" for column in COLUMNS))
    figures = {name: summary(rows) for name, rows in found.items()}
    for name, values in figures.items():
        print(f"{name:24}" + "".join(f"{values.get(column, float('nan')):13.2f}" for column in COLUMNS))
    with atomic_path(options.csv) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("model", "set", *COLUMNS))
        for name, values in figures.items():
            writer.writerow((model.name, name, *(round(values[c], 3) if c in values else "" for c in COLUMNS)))
    missed = judge(figures)
    print("did not hold: " + "; ".join(missed) if missed else "all holds")
    return 3 if missed else 0


def pictures(data: Path) -> Iterator[tuple[str, Image | None, Image]]:
    """Set, noisy side or None, clean side."""
    for name in PAIRS:
        if (data / name).is_dir():
            for pair in find_pairs(data / name).pairs:
                yield name, *pair.read()
        else:
            print(f"skipped: no {data / name}")
    for seed in range(40):
        yield "generated, 20 to 28 dB", *make_pair(seed, 256, band=(20, 28))
    for seed in range(24):
        yield "generated scenes", None, generate_scene(480, 640, seed)
    for name in CLEAN:
        if (data / name).is_dir():
            for path in list_pictures(data / name):
                yield name, None, read_picture(path)
        else:
            print(f"skipped: no {data / name}")


def measure(model: ModelFile, off: Denoiser, on: Denoiser, noisy: Image | None, clean: Image) -> dict[str, float]:
    """All figures of one picture."""
    values = {"clean_off": decibels(off.denoise(clean), clean), "clean_on": decibels(on.denoise(clean), clean)}
    if noisy is not None:
        values |= {"noisy": decibels(noisy, clean), "off": decibels(off.denoise(noisy), clean)}
        values |= {"on": decibels(on.denoise(noisy), clean), "stream": decibels(streamed(model, noisy, 1), clean)}
    return values | {"clean_stream": decibels(streamed(model, clean, 6), clean)}


def streamed(model: ModelFile, image: Image, frames: int) -> Image:
    """The output of a stream after this many frames."""
    with Denoiser(model, 1, gate=True, stream=True) as denoiser:
        for _ in range(frames):
            shown = denoiser.denoise(image)
    return shown


def decibels(image: Image, clean: Image) -> float:
    """PSNR, at most 80."""
    return min(psnr(image, clean), 80.0)


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over a set, and the worst clean side."""
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return {"pictures": len(rows), "clean_worst": min(row["clean_on"] for row in rows)} | means


def judge(figures: Figures) -> list[str]:
    """The limits that did not hold."""
    missed = [
        f"clean sides of {name} keep 45 dB each"
        for name in ("sidd_native/valid", "generated scenes")
        if name in figures and figures[name]["clean_worst"] < 45
    ]
    if "sidd_small_256/valid" in figures and figures["sidd_small_256/valid"]["clean_on"] < 40:
        missed.append("clean sides of sidd_small_256/valid keep 40 dB in the mean")
    return missed + [
        f"noisy sides of {name} lose at most 0.1 dB"
        for name in ("sidd_native/valid", "generated, 20 to 28 dB")
        if name in figures and figures[name]["on"] < figures[name]["off"] - 0.1
    ]


if __name__ == "__main__":
    sys.exit(main())
