"""Learning curves of a network as data and picture: PSNR of each validation set over the hours of all its training.

    python -m benchmarks.training.curves RUN [RUN ...] --name small
    python -m benchmarks.training.curves --draw

RUNs are the run directories behind one network, in the order in which they were trained: float, pruning, int8, fusion.
Their history becomes benchmarks/results/learning_NAME.csv, with a line for each validation and set. ``part`` counts the
phases of the chain from 1, and ``hours`` goes on from part to part. The picture, docs/pictures/learning.png, is drawn
from all these files; ``--draw`` does nothing else. A phase that a run took over from the run before counts once.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tomllib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.drawing import COLORS, GRAY, PICTURES, legend, panels
from benchmarks.records import RESULTS, write_rows
from quietcam.tflite.manifest_fields import NAME

COLUMNS = ("part", "phase", "step", "hours", "set", "psnr")
PHASES = {"train": "float", "prune": "pruning", "qat": "int8"}
FUSION = "fusion"
ALL = "all sets"
ORDER = ("nano", "small", "base")  # others come after these
PREFIX = "learning_"

Row = dict[str, Any]


def main() -> int:
    """Collect, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--name", help="of the network, as in the name of the CSV")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the CSV files are")
    parser.add_argument("--picture", type=Path, default=PICTURES / "learning.png")
    parser.add_argument("--draw", action="store_true", help="draw the picture from the CSV files, and read no run")
    options = parser.parse_args()
    if options.draw is bool(options.runs) or bool(options.runs) is not bool(options.name):
        parser.error("give RUN and --name, or --draw alone")
    if options.name:
        if not NAME.fullmatch(options.name):
            parser.error(f"--name is letters, digits, dots, dashes and underscores. Received: {options.name}")
        try:
            rows = [*chain(options.runs)]
        except (OSError, ValueError, KeyError) as error:
            print(f"A RUN is a run directory with config.toml and history.csv. Received: {error}.", file=sys.stderr)
            return 1
        write_rows(options.results / f"{PREFIX}{options.name}.csv", rows, COLUMNS)
        print(f"{options.name}: {rows[-1]['part']} parts, {rows[-1]['hours']} hours" if rows else "no validation yet")
    networks = read(options.results)
    if not networks:
        print(f"There are no curves. Received: no {PREFIX}NAME.csv in {options.results}.", file=sys.stderr)
        return 1
    draw(options.picture, networks)
    return 0


def chain(runs: Sequence[Path]) -> Iterator[Row]:
    """The rows of a network, by ``COLUMNS``."""
    part, begun, seen = 0, 0.0, []
    for run in runs:
        remembers = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))["model"].get("history", 0) > 0
        with (run / "history.csv").open(newline="", encoding="utf-8") as file:
            history = [*csv.DictReader(file)]
        for phase, found in groupby(history, lambda row: row["phase"]):
            rows = [*found]
            if rows in seen:  # taken over from the run before
                continue
            seen.append(rows)
            part += 1
            for row in rows:
                for name, psnr in scores(row):
                    yield {
                        "part": part,
                        "phase": FUSION if remembers and phase == "train" else PHASES.get(phase, phase),
                        "step": int(row["step"]),
                        "hours": f"{(begun + float(row['seconds'])) / 3600:.4f}",
                        "set": name,
                        "psnr": f"{psnr:.3f}",
                    }
            begun += float(rows[-1]["seconds"])


def scores(row: dict[str, str]) -> Iterator[tuple[str, float]]:
    """The name of each validation set, of a path its last two parts, and its PSNR in dB."""
    if not row.get("by_set"):
        yield ALL, float(row["validation_psnr"])
        return
    for each in row["by_set"].split("; "):
        name, psnr = each.rsplit(" ", 1)
        yield "/".join([part for part in name.split("/") if part][-2:]), float(psnr)


def read(folder: Path) -> dict[str, list[Row]]:
    """The rows of each network that has any, in the order of the picture."""
    found = {}
    for path in folder.glob(f"{PREFIX}*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            if rows := [*csv.DictReader(file)]:
                found[path.stem.removeprefix(PREFIX)] = rows
    return {name: found[name] for name in sorted(found, key=lambda name: (name not in ORDER, _place(name), name))}


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else 0


def draw(path: Path, networks: dict[str, list[Row]]) -> None:
    """Draw a panel for each network: a line for each validation set, and a band for each phase."""
    sets = list(dict.fromkeys(row["set"] for rows in networks.values() for row in rows))
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(sets)}
    with panels(path, len(networks), (5.4, 4.2), "validation during training, before conversion") as axes:
        for axis, (name, rows) in zip(axes, networks.items(), strict=True):
            end = 0.0
            for number, (_, found) in enumerate(groupby(rows, lambda row: row["part"])):
                part = [*found]
                begin, end = end, max(float(row["hours"]) for row in part)
                if number % 2:
                    axis.axvspan(begin, end, color="#f1f3f5", linewidth=0)
                axis.text(
                    (begin + end) / 2,
                    0.02,
                    part[0]["phase"],
                    transform=axis.get_xaxis_transform(),
                    rotation=0 if end - begin > 0.15 * float(rows[-1]["hours"]) else 90,
                    ha="center",
                    va="bottom",
                    fontsize=9,
                    color=GRAY,
                )
                _draw_part(axis, part, colors)
            low, high = axis.get_ylim()
            axis.set_ylim(low - 0.15 * (high - low), high)  # room for the names of the phases
            axis.set_xlim(0, end)
            axis.set_title(name, fontsize=11)
            axis.set_xlabel("hours of training")
            axis.set_ylabel("PSNR, dB")
        lines = [axes[0].plot([], [], "-", color=color, label=name)[0] for name, color in colors.items()]
        legend(axes, lines)


def _draw_part(axis: Any, rows: Sequence[Row], colors: dict[str, str]) -> None:
    for name, color in colors.items():
        points = [(float(row["hours"]), float(row["psnr"])) for row in rows if row["set"] == name]
        if points:
            axis.plot(*zip(*points, strict=True), "-", color=color, linewidth=1.6, marker=".", markersize=5)


if __name__ == "__main__":
    sys.exit(main())
