"""Quality against time: dB and ms of the models that ship, a peer, and OpenCV's filters, measured in one run.

    python -m benchmarks.network.frontier [--model NAME|FILE.tflite ...] [--data ../shared/data] [--clips DIR]
        [--peer nafnet_rgb_small.tflite]
    python -m benchmarks.network.frontier --draw

Models and sets are those of ``benchmarks.network.quality``; without --model, the still ones of the models. PSNR is on
uint8 RGB, the mean over the central 256x256 of each picture, without the gate. Each filter has the strength that is
best for the whole set. Times are those of the bare network or filter for 256x256, medians of runs in turns, on 1 and on
2 threads. Writes benchmarks/results/frontier.csv, and from it docs/pictures/frontier.png; ``--draw`` draws it again and
measures nothing. A peer that is not there is skipped.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawing import BLUE, GRAY, ORANGE, PICTURES, label_points, legend, panels
from benchmarks.network.card_figures import SIDE
from benchmarks.network.quality.candidates import find_candidates
from benchmarks.network.quality.sets import Picture, read_sets
from benchmarks.records import DATA, PEER_MODEL, RESULTS, commit, machine, write_rows
from compare.classic import FILTERS, Filter, Setting, search
from compare.costs import measure_times
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile, load_model
from quietcam.errors import QuietcamError
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.quality.frontier import beaten_by

Row = dict[str, str]
THREADS = (1, 2)
PEER = "peer"
MARKS: Mapping[str, tuple[str, str, str]] = {
    "int8": ("o", BLUE, BLUE),
    "float32": ("o", "white", BLUE),
    PEER: ("s", ORANGE, ORANGE),
    "filter": ("^", GRAY, GRAY),
}  # marker, face, edge
SHOWN = {
    "native": "SIDD crops at sensor scale",
    "squeezed": "SIDD pictures squeezed to 256x256",
    "machine": "drawn machine cameras",
    "pi": "drawn Raspberry Pi cameras",
}
TITLES = {"int8": "int8", "float32": "its float32", PEER: "peer", "filter": "filter, best strength for the set"}


def main() -> int:
    """Measure, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=[], metavar="NAME", help="a name that ships, or a .tflite file")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the two SIDD sets")
    parser.add_argument("--clips", type=Path, help="folder of videos (default: video/ in --data)")
    parser.add_argument("--peer", type=Path, default=PEER_MODEL)
    parser.add_argument("--csv", type=Path, default=RESULTS / "frontier.csv")
    parser.add_argument("--picture", type=Path, default=PICTURES / "frontier.png")
    parser.add_argument("--draw", action="store_true", help="draw the picture from the CSV, and measure nothing")
    options = parser.parse_args()
    try:
        if not options.draw:
            files = load_models(options.model)
            if options.peer.exists():
                files[PEER] = load_model(options.peer)
            else:
                print(f"skipped: no {options.peer}")
            rows = measure(files, read_sets(options.data, options.clips or options.data / "video"))
            write_rows(options.csv, rows, list(rows[0]))  # only times of one run can be compared
        with options.csv.open(newline="", encoding="utf-8") as file:
            draw(options.picture, [*csv.DictReader(file)])
    except QuietcamError as error:
        print(f"frontier: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def load_models(names: Sequence[str]) -> dict[str, ModelFile]:
    """Each model and its float twin, by ``NAME int8`` and ``NAME float32``; without names, the still ones that ship."""
    files = {}
    for each in find_candidates(names):
        if names or not each.file.remembers:
            files[f"{each.name} {each.file.ends}"] = each.file
            if each.twin is not None:
                files[f"{each.name} {each.twin.ends}"] = each.twin
    return files


def measure(files: Mapping[str, ModelFile], sets: Mapping[str, Sequence[Picture]]) -> list[dict[str, Any]]:
    """A row for each set, contender and number of threads."""
    scores: dict[str, dict[str, float]] = {}
    strengths: dict[str, dict[str, str]] = {}
    timed: dict[str, Callable[[Image], Image]] = {}
    for of_set, pictures in sets.items():
        scores[of_set] = {name: score(file, pictures) for name, file in files.items()}
        strengths[of_set] = {}
        for name, kind in FILTERS.items():
            scores[of_set][name], setting = best(kind, pictures)
            strengths[of_set][name] = kind.describe(setting)
            timed[f"{of_set}: {name}"] = at_setting(kind, setting)
            print(f"{of_set}  {name}: {scores[of_set][name]:.2f} dB at {strengths[of_set][name]}", flush=True)
    noisy = next(iter(sets.values()))[0].noisy
    # All of them in turns: a ratio of two separate runs is not reliable.
    times = {threads: measure_times(files, timed, noisy, threads, size=(SIDE, SIDE)) for threads in THREADS}
    told = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "machine": machine(), "commit": commit()}
    return [
        {
            "set": of_set,
            "pictures": len(pictures),
            "noisy_psnr": round(mean([psnr(each.noisy, each.clean) for each in pictures]), 3),
            "name": name,
            "kind": kind_of(name, files),
            "strength": strengths[of_set].get(name, ""),
            "psnr": round(found, 3),
            "threads": threads,
            "ms": times[threads][name if name in files else f"{of_set}: {name}"],
            **told,
        }
        for of_set, pictures in sets.items()
        for name, found in scores[of_set].items()
        for threads in THREADS
    ]


def kind_of(name: str, files: Mapping[str, ModelFile]) -> str:
    """``int8``, ``float32``, ``peer`` or ``filter``."""
    if name not in files:
        return "filter"
    return PEER if name == PEER else name.rsplit(" ", 1)[1]


def score(file: ModelFile, pictures: Sequence[Picture]) -> float:
    """Mean PSNR of a model, dB."""
    with Denoiser(file, 2) as denoiser:
        return mean([psnr(denoiser.denoise(each.noisy), each.clean) for each in pictures])


def best(kind: Filter, pictures: Sequence[Picture]) -> tuple[float, Setting]:
    """The highest mean PSNR of a filter over a set, dB, and its setting there."""
    deviation = float(np.sqrt(np.mean([np.square(each.noisy.astype(float) - each.clean).mean() for each in pictures])))

    @cache
    def quality(setting: Setting) -> float:
        return mean([psnr(kind.apply(each.noisy, *setting), each.clean) for each in pictures])

    setting = search(kind.axes, kind.start(deviation), quality)
    return quality(setting), setting


def at_setting(kind: Filter, setting: Setting) -> Callable[[Image], Image]:
    """The filter as a device would run it."""
    return lambda noisy: kind.apply(noisy, *setting)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Draw one panel for each set: dB over ms on most threads, with a line to the time on one thread.

    What is worse than the noisy pictures is not drawn.
    """
    sets = list(dict.fromkeys(row["set"] for row in rows))
    least, most = min(int(row["threads"]) for row in rows), max(int(row["threads"]) for row in rows)
    times = [float(row["ms"]) for row in rows]
    footer = f"{rows[0]['machine']}; commit {rows[0]['commit']}; {rows[0]['date']}"
    with panels(path, len(sets), (5.4, 4.6), footer) as axes:
        for axis, of_set in zip(axes, sets, strict=True):
            shown = [row for row in rows if row["set"] == of_set and float(row["psnr"]) >= float(row["noisy_psnr"])]
            axis.set_xscale("log")
            axis.set_xlim(min(times) / 1.6, max(times) * 1.6)
            axis.xaxis.set_major_formatter("{x:g}")
            told = f"{SHOWN.get(of_set, of_set)}: {shown[0]['pictures']} pictures"
            told += f", noisy {float(shown[0]['noisy_psnr']):.2f} dB"
            axis.set_title(told, fontsize=10)
            axis.set_xlabel(f"ms for 256x256, {most} threads (line: to {least} thread)")
            _draw_panel(axis, shown, least, most)
            axis.set_ylabel("PSNR, dB")
        lines = [axes[0].plot([], [], **_mark(kind), linestyle="", label=title)[0] for kind, title in TITLES.items()]
        lines += axes[0].plot([], [], "-", color=BLUE, alpha=0.4, label="frontier")
        legend(axes, lines)


def _draw_panel(axis: Any, shown: Sequence[Row], least: int, most: int) -> None:
    points = {row["name"]: (float(row["ms"]), float(row["psnr"])) for row in shown if int(row["threads"]) == most}
    slow = {row["name"]: float(row["ms"]) for row in shown if int(row["threads"]) == least}
    kinds = {row["name"]: row["kind"] for row in shown}
    front = sorted(points[name] for name, better in beaten_by(points).items() if better is None)
    axis.plot(*zip(*front, strict=True), "-", color=BLUE, alpha=0.4, linewidth=1.5)
    for name, (ms, db) in points.items():
        mark = _mark(kinds[name])
        axis.plot((ms, slow[name]), (db, db), "-", color=mark["markeredgecolor"], linewidth=1, alpha=0.6)
        axis.plot(ms, db, **mark)
    axis.margins(y=0.12)
    unnamed = [point for name, point in points.items() if kinds[name] == "float32"]  # beside its int8 twin
    label_points(
        axis, {name.removesuffix(" int8"): point for name, point in points.items() if point not in unnamed}, unnamed
    )


def _mark(kind: str) -> dict[str, Any]:
    marker, face, edge = MARKS[kind]
    return {"marker": marker, "markersize": 7, "markerfacecolor": face, "markeredgecolor": edge}


def mean(values: Sequence[float]) -> float:
    """The mean as a plain number."""
    return float(np.mean(values))


if __name__ == "__main__":
    sys.exit(main())
