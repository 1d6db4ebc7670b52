"""Measures the models that ship, and writes their model cards.

    python -m benchmarks.network.model_cards [NAME ...] [--data ../shared/data] [--peer nafnet_rgb_small.tflite]

For each NAME (default: all but the demo's) it writes edge/models/NAME.md and docs/models/NAME.jpg, and appends a line
to benchmarks/results/models.csv. Measured on the central 256x256 crops of sidd_native/valid and sidd_small_256/valid,
uint8 RGB, without the gate: noisy, float twin, int8 and the peer; what the clean sides keep, with the gate ("left
alone") and without; white Gaussian noise of sigma 25 and 5 % salt and pepper on the clean sides. The picture shows the
worst of 48 generated scenes that no model was trained on, and the worst of their dark plain areas, magnified. The
scenes are the project's own. ``benchmarks.network.quality`` judges the models by what they must reach.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.network.card_figures import SETS, SIDE, crops, measure, summary
from benchmarks.network.card_scenes import generated_scenes
from benchmarks.network.card_text import card
from benchmarks.records import DATA, PEER_MODEL, RESULTS, ROOT, append, commit, machine
from compare.costs import measure_times
from edge.models import resolve_model, shipped_models
from edge.network.modelfile import load_model
from quietcam.files.atomic import write_text
from quietcam.sensor.scenes import make_pair


def main() -> int:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--peer", type=Path, default=PEER_MODEL)
    parser.add_argument("--csv", type=Path, default=RESULTS / "models.csv")
    options = parser.parse_args()
    ships = sorted({path.stem.split("_")[0] for path in shipped_models()} - {"demo"})
    names, peer = options.names or ships, load_model(options.peer)
    models = {
        name: {recipe: load_model(resolve_model(f"{name}_{SIDE}x{SIDE}_{recipe}")) for recipe in ("int8", "float32")}
        for name in names
    }
    # All of them in turns, since a ratio of two separate runs is not reliable.
    timed = {f"{name} {recipe}": file for name in names for recipe, file in models[name].items()} | {"peer": peer}
    taken = measure_times(timed, {}, make_pair(1, SIDE)[0], 2, size=(SIDE, SIDE))
    pictures = {each: [*crops(options.data / each)] for each in SETS}
    for name in names:
        files = {**models[name], "peer": peer}
        times = {recipe: taken[f"{name} {recipe}"] for recipe in models[name]} | {"peer": taken["peer"]}
        found = {each: measure(files, pictures[each]) for each in SETS}
        scenes = generated_scenes(files["int8"], ROOT / "docs" / "models" / f"{name}.jpg")
        figures = summary(found, times)
        write_text(ROOT / "edge" / "models" / f"{name}.md", card(name, files, found, times, scenes))
        append(options.csv, {"model": name, **figures, "machine": machine(), "commit": commit()})
        print(name, *(f"{key} {value}" for key, value in figures.items()), sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
