"""What can the models that ship do, and what not? Measures them and writes their cards.

    python benchmarks/model_cards.py [NAME ...] [--data ../shared/data] [--peer nafnet_rgb_small.tflite]

For each NAME (default: all but the demo's) it writes edge/models/NAME.md and docs/models/NAME.jpg, and appends a line
to benchmarks/results/models.csv. Measured on the central 256x256 crops of sidd_native/valid and sidd_small_256/valid,
uint8 RGB, without the gate: noisy, float twin, int8 and the peer; what the clean sides keep, with the gate ("left
alone") and without; white Gaussian noise of sigma 25 and 5 % salt and pepper on the clean sides. The picture shows the
worst of 48 generated scenes that nothing was trained on, and the worst of their dark flat areas, magnified: they are
the project's own.

Exit code 3 when a model misses what is asked of it (``ASKED``).
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from input_pipeline import append, commit, machine

from compare.costs import measure_times, read_costs
from edge.models import resolve_model, shipped_models
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile, load_model
from quietcam.data.sets.pairs import find_pairs, read_pair
from quietcam.files.atomic import atomic_path, write_text
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.noise import gaussian, salt_and_pepper
from quietcam.sensor.scenes import make_pair

ROOT = Path(__file__).parents[1]
SETS = ("sidd_native/valid", "sidd_small_256/valid")
SIDE, SCENES, FIRST_SCENE, SHOWN = 256, 48, 9_000_000, 3
PATCH, DARK, FLAT, BLOTCH = 64, 64.0, 5.0, 8  # pixels of a side, mean and deviation of the clean side, pixels
SCENE_BAND = (17, 30)  # dB of the noisy side
CAP = 80.0  # dB: what an untouched picture counts for

# At least: dB on either set, times faster than the peer, dB gained on either plain noise. At most: what int8 loses,
# being trained for it, on either set (DROP) and in an ISO bucket of three pictures or more (ISO_DROP).
ASKED = {
    "nano": {"must": (32.0, 32.0, 40.0, 4.0), "goal": (33.0, 32.5)},
    "small": {"must": (33.0, 32.8, 18.0, 6.0), "goal": (34.5, 33.5)},
    "base": {"must": (34.0, 33.5, 8.0, 6.0), "goal": (35.5, 34.5)},
}
KEPT, DROP, ISO_DROP = 42.0, 0.05, 0.25
ISO = (100, 400, 1600, 6400)


@dataclass
class Found:
    """PSNR in dB of one picture through everything."""

    name: str
    noisy: float
    by_model: dict[str, float]
    clean_bare: float
    clean_gated: float
    gaussian: float
    salt: float
    salt_gated: float
    cast: list[float] = field(default_factory=list)
    noisy_cast: list[float] = field(default_factory=list)


def main() -> int:
    """Measure, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--peer", type=Path, default=ROOT.parent / "shared" / "peers" / "rpi_nafnet_small" / "nafnet_rgb_small.tflite"
    )
    parser.add_argument("--csv", type=Path, default=ROOT / "benchmarks" / "results" / "models.csv")
    options = parser.parse_args()
    ships = sorted({path.stem.split("_")[0] for path in shipped_models()} - {"demo"})
    names, peer, missed = options.names or ships, load_model(options.peer), []
    models = {
        name: {recipe: load_model(resolve_model(f"{name}_{SIDE}x{SIDE}_{recipe}")) for recipe in ("int8", "float32")}
        for name in names
    }
    # All of them in turns: a ratio of two runs is worth little.
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
        missed += [f"{name}: {each}" for each in judge(name, figures)]
    print("did not hold: " + "; ".join(missed) if missed else "all holds")
    return 3 if missed else 0


def crops(folder: Path) -> Any:
    """Name, noisy and clean side of the middle of every pair."""
    for pair in find_pairs(folder).pairs:
        noisy, clean = read_pair(pair)
        y, x = ((side - SIDE) // 2 for side in noisy.shape[:2])
        middle = np.s_[y : y + SIDE, x : x + SIDE]
        yield pair.name, np.ascontiguousarray(noisy[middle]), np.ascontiguousarray(clean[middle])


def measure(files: dict[str, ModelFile], pictures: list[tuple[str, Image, Image]]) -> list[Found]:
    """Every picture through every model, in one run."""
    rng, found = np.random.default_rng(0), []
    bare = {name: Denoiser(file, 2) for name, file in files.items()}
    with Denoiser(files["int8"], 2, gate=True) as gated:
        for name, noisy, clean in pictures:
            white, salted = gaussian(clean, 25.0, rng), salt_and_pepper(clean, 0.05, rng)
            denoised = {each: denoiser.denoise(noisy).copy() for each, denoiser in bare.items()}

            def gain(denoiser: Denoiser, worse: Image, clean: Image = clean) -> float:
                return psnr(denoiser.denoise(worse), clean) - psnr(worse, clean)

            found.append(
                Found(
                    name,
                    psnr(noisy, clean),
                    {each: psnr(image, clean) for each, image in denoised.items()},
                    min(CAP, psnr(bare["int8"].denoise(clean), clean)),
                    min(CAP, psnr(gated.denoise(clean), clean)),
                    gain(bare["int8"], white),
                    gain(bare["int8"], salted),
                    gain(gated, salted),
                    (denoised["int8"].astype(float) - clean).mean((0, 1)).round(1).tolist(),
                    (noisy.astype(float) - clean).mean((0, 1)).round(1).tolist(),
                )
            )
    for denoiser in bare.values():
        denoiser.close()
    return found


def summary(found: dict[str, list[Found]], times: dict[str, float]) -> dict[str, float]:
    """What is asked for, in figures; by set where the set matters."""
    figures: dict[str, float] = {}
    for each, short in zip(SETS, ("native", "small"), strict=True):
        rows = found[each]
        for model in ("int8", "float32", "peer"):
            figures[f"{short}_{model}"] = mean(row.by_model[model] for row in rows)
        figures[f"{short}_drop"] = round(figures[f"{short}_float32"] - figures[f"{short}_int8"], 3)
        figures[f"{short}_gaussian"] = mean(row.gaussian for row in rows)
        figures[f"{short}_salt"] = mean(row.salt for row in rows)
        figures[f"{short}_salt_gated"] = mean(row.salt_gated for row in rows)
        figures[f"{short}_clean_bare"] = round(min(row.clean_bare for row in rows), 2)
        figures[f"{short}_clean_gated"] = round(min(row.clean_gated for row in rows), 2)
    figures["iso_drop"] = max(iso_drops(found).values())
    return figures | {"ms": times["int8"], "faster": round(times["peer"] / times["int8"], 1)}


def iso_drops(found: dict[str, list[Found]]) -> dict[str, float]:
    """What int8 loses in each ISO bucket of three pictures or more, of both sets; buckets as ``quietcam compare``'s."""
    buckets: dict[str, list[float]] = {}
    for row in (row for each in SETS for row in found[each]):
        iso = int(row.name.split("_")[3])
        bucket = next((f"up to {end}" for end in ISO if iso <= end), f"above {ISO[-1]}")
        buckets.setdefault(bucket, []).append(row.by_model["float32"] - row.by_model["int8"])
    return {name: mean(drops) for name, drops in sorted(buckets.items()) if len(drops) >= 3}


def judge(name: str, figures: dict[str, float]) -> list[str]:
    """What is not as it must be."""
    if name not in ASKED:
        return []
    native, small, faster, gained = ASKED[name]["must"]
    least = {
        "native_int8": native,
        "small_int8": small,
        "faster": faster,
        "native_gaussian": gained,
        "native_salt": gained,
        "native_salt_gated": gained,
        "native_clean_gated": KEPT,
    }
    missed = [f"{key} {figures[key]} < {value}" for key, value in least.items() if figures[key] < value]
    drops = ("native_drop", "small_drop")
    missed += [f"{key} {figures[key]} > {DROP}" for key in drops if figures[key] > DROP]
    if figures["iso_drop"] > ISO_DROP:
        missed.append(f"iso_drop {figures['iso_drop']} > {ISO_DROP}")
    goals = zip(("native_int8", "small_int8"), ASKED[name]["goal"], strict=True)
    return missed + [f"{key} {figures[key]} < {goal}, the goal" for key, goal in goals if figures[key] < goal]


@dataclass
class Worst:
    """A generated scene, or a dark flat patch of one: PSNR before and after; as noisy | denoised | clean."""

    seed: int
    before: float
    after: float
    badness: float
    strip: Image


@dataclass
class Scenes:
    """What became of the generated scenes.

    Attributes:
        worst: those that came out worst. dark: their worst dark flat patches. border: how much larger the error of a
            frame's outermost two pixels is than that of the rest.
    """

    worst: list[Worst]
    dark: list[Worst]
    border: float


def generated_scenes(file: ModelFile, path: Path) -> Scenes:
    """Every scene once; the worst of them, and the worst dark flat patches, drawn below each other."""
    scenes, patches, outer, inner = [], [], [], []
    with Denoiser(file, 2) as denoiser:
        for seed in range(FIRST_SCENE, FIRST_SCENE + SCENES):
            noisy, clean = make_pair(seed, SIDE, band=SCENE_BAND)
            pictures = (noisy, denoiser.denoise(noisy).copy(), clean)
            before, after = psnr(noisy, clean), psnr(pictures[1], clean)
            scenes.append(Worst(seed, before, after, -after, np.hstack(pictures)))
            squared = np.square(pictures[1].astype(np.float64) - clean)
            rest = squared[2:-2, 2:-2]
            inner.append(rest.mean())
            outer.append((squared.sum() - rest.sum()) / (squared.size - rest.size))
            dark = [Worst(seed, *each) for each in dark_flats(pictures)]
            patches += sorted(dark, key=lambda each: -each.badness)[:1]
    shown = tuple(sorted(each, key=lambda worst: -worst.badness)[:SHOWN] for each in (scenes, patches))
    sheet = np.vstack([worst.strip for each in shown for worst in each])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        done, content = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        assert done
        temporary.write_bytes(content.tobytes())
    return Scenes(*shown, round(float(np.sqrt(np.mean(outer) / np.mean(inner))), 1))


def dark_flats(pictures: tuple[Image, Image, Image]) -> Any:
    """Dark flat patches: PSNR before and after, how strong what stays is as blotches, and the three, magnified and
    twice as bright."""
    for y in range(0, SIDE, PATCH):
        for x in range(0, SIDE, PATCH):
            noisy, denoised, clean = (picture[y : y + PATCH, x : x + PATCH] for picture in pictures)
            if clean.mean() >= DARK or clean.std((0, 1)).max() >= FLAT:
                continue
            error = denoised.astype(np.float32) - clean
            blotches = cv2.resize(error, (PATCH // BLOTCH, PATCH // BLOTCH), interpolation=cv2.INTER_AREA)
            strip = np.repeat(np.repeat(np.hstack([noisy, denoised, clean]), SIDE // PATCH, 0), SIDE // PATCH, 1)
            bright = np.minimum(strip.astype(np.uint16) * 2, 255).astype(np.uint8)
            yield psnr(noisy, clean), psnr(denoised, clean), float(np.sqrt(np.mean(blotches**2))), bright


def card(
    name: str,
    files: dict[str, ModelFile],
    found: dict[str, list[Found]],
    times: dict[str, float],
    made: Scenes,
) -> str:
    """The model card, Markdown."""
    manifest = files["int8"].manifest
    assert manifest is not None
    costs = {recipe: read_costs(file) for recipe, file in files.items()}
    figures = summary(found, times)
    net, training = manifest.architecture or {}, manifest.training
    last = f", the last one {net['last_kernel']}x{net['last_kernel']}" if net.get("last_kernel", 3) != 3 else ""
    lines = [
        f"# `{name}`",
        "",
        f"Written by `python benchmarks/model_cards.py {name}` on {machine()}.",
        "",
        "## What it is",
        f"A residual encoder-decoder of plain convolutions (widths {net['widths']}, depths {net['depths']}{last}), "
        f"{manifest.gmacs_256:.3f} GMACs at 256x256, {costs['int8']['parameters']:,} parameters, "
        f"{manifest.sparsity:.0%} of its weights zero. It ships as int8 for 640x480 and for 256x256 tiles "
        f"({costs['int8']['bytes']:,} bytes, {costs['int8']['bytes_gzipped']:,} gzipped), both ends 1/255, -128, and "
        f"as its float twin ({costs['float32']['bytes']:,}, {costs['float32']['bytes_gzipped']:,}).",
        "",
        "## Data and licence",
        f"{training['data']}. Licence of the data: {training['licence']}. The model itself: Apache-2.0.",
        "",
        "| share of each batch | from |",
        "| --- | --- |",
        *(f"| {share:.1%} | {source} |" for source, share in training.get("shares", {}).items()),
        "",
        f"No picture of the validation sets was trained on ({', '.join(SETS)}); the model was chosen by them.",
        "",
        "## Recipe",
        f"`train/configs/{name}.toml`: its head holds the commands. Trained in float, half of the weights pruned to "
        "zero, then trained on under fake quantization (`--qat`). Its float twin is the same weights without rounding.",
        "",
        "## Scores",
        "PSNR in dB of central 256x256 crops, uint8 RGB, without the gate; casts are the mean error in steps of 255. "
        "These few crops are no SIDD benchmark.",
        "",
        "| picture | noisy | int8 | float twin | a peer | colour cast of noisy, R G B | of int8 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in SETS:
        rows = found[each]
        lines += [score_row(row.name, row.noisy, row.by_model, row.noisy_cast, row.cast) for row in rows]
        means = {model: mean(row.by_model[model] for row in rows) for model in ("int8", "float32", "peer")}
        lines.append(score_row(f"**{each}, mean**", mean(row.noisy for row in rows), means))
    lines += [
        "",
        f"One 256x256 frame on two threads: {times['int8']:.2f} ms int8, {times['float32']:.2f} ms float twin, "
        f"{times['peer']:.1f} ms the peer (the small RGB network of Raspberry Pi's denoising tool, float32): "
        f"{figures['faster']} times as fast.",
        "",
        "How much of that is the processor's int8 dot product (`python benchmarks/kernels.py --threads 2`, which hides "
        "instructions from the kernels), 256x256 on two threads:",
        "",
        "| instructions | int8, ms | float twin, ms | times as fast as the peer |",
        "| --- | --- | --- | --- |",
        *(f"| {kind} | {row['int8']} | {row['float32']} | {row['faster']} |" for kind, row in by_kernels(name).items()),
        "",
        "| on the clean sides | sidd_native/valid | sidd_small_256/valid |",
        "| --- | --- | --- |",
    ]
    for label, key in (
        ("kept by the least, with the gate, dB", "clean_gated"),
        ("kept by the least, without, dB", "clean_bare"),
        ("gained under white Gaussian noise of sigma 25, dB", "gaussian"),
        ("gained under 5 % salt and pepper, dB", "salt"),
        ("the same with the gate, dB", "salt_gated"),
        ("lost by int8 to the float twin, dB", "drop"),
    ):
        lines.append(f"| {label} | {figures[f'native_{key}']} | {figures[f'small_{key}']} |")
    drops = ", ".join(f"{drop:.2f} dB at ISO {bucket}" for bucket, drop in iso_drops(found).items())
    lines += ["", f"int8 loses to its float twin, by ISO (three pictures or more): {drops}."]
    lines += ["", "## Limits", *limits(found, figures, made.border), ""]
    scenes, patches = (
        "; ".join(f"seed {each.seed}: {each.before:.1f} to {each.after:.1f} dB" for each in kind)
        for kind in (made.worst, made.dark)
    )
    lines += [
        f"The {SHOWN} worst of {SCENES} generated scenes (seeds from {FIRST_SCENE}, noisy sides of {SCENE_BAND[0]} to "
        f"{SCENE_BAND[1]} dB), as noisy, int8, clean; {scenes}. Below them the {SHOWN} dark flat patches where most is "
        f"left as blotches, {SIDE // PATCH} times as large and twice as bright; {patches}.",
        "",
        f"![noisy, denoised, clean](../../docs/models/{name}.jpg)",
        "",
    ]
    return "\n".join(lines)


def limits(found: dict[str, list[Found]], figures: dict[str, float], at_border: float) -> list[str]:
    """What to know before trusting it, from the figures."""
    rows = [row for each in SETS for row in found[each]]
    least = min(rows, key=lambda row: row.by_model["int8"])
    worse = [row for row in rows if row.by_model["int8"] < row.noisy]
    cast = max(rows, key=lambda row: max(map(abs, row.cast)))
    lines = [
        f"- Its worst crop is {least.name}: {least.noisy:.2f} to {least.by_model['int8']:.2f} dB.",
        f"- Its strongest colour cast is that of {cast.name}: {cast.cast} steps of 255; the noisy side's is "
        f"{cast.noisy_cast}, since what is clipped at black makes a dark picture's noise one-sided.",
        "- Made worse, without the gate: "
        + ("; ".join(f"{row.name}, {row.noisy:.2f} to {row.by_model['int8']:.2f} dB" for row in worse) or "none.")
        + ("" if not worse else "."),
        "- Without the gate a clean picture keeps "
        f"{min(figures['native_clean_bare'], figures['small_clean_bare'])} dB at the least: faint texture is taken for "
        "noise. `quietcam run` has the gate on.",
    ]
    drops = [f"{figures[f'{short}_drop']} dB on {each}" for short, each in zip(("native", "small"), SETS, strict=True)]
    if max(figures["native_drop"], figures["small_drop"]) > DROP:
        lines.append(f"- int8 loses {' and '.join(drops)} to its float twin, where we want {DROP} at most.")
    return [
        *lines,
        f"- The outermost two pixels of a frame keep {at_border} times the error of the rest: black is beyond.",
        "- Real noise was seen from five phones alone; a Raspberry Pi's only as simulated from its tuning files.",
    ]


def by_kernels(name: str) -> dict[str, dict[str, str]]:
    """The last figures of ``kernels.py`` for a model on two threads, by the instructions that its kernels had."""
    found: dict[str, dict[str, str]] = {}
    with (ROOT / "benchmarks" / "results" / "kernels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            model, _, recipe = row["model"].rpartition("_")
            if model != name or row["threads"] != "2":
                continue
            kind = found.setdefault(row["instructions"], {})
            kind[recipe] = row["ms"]
            if recipe == "int8":
                kind["faster"] = row["times_as_fast_as_the_peer"]
    return found


def score_row(name: str, noisy: float, by_model: dict[str, float], *casts: list[float]) -> str:
    """A line of the table of scores."""
    cells = [f"{value:.2f}" for value in (noisy, by_model["int8"], by_model["float32"], by_model["peer"])]
    told = [", ".join(f"{value:+.1f}" for value in cast) for cast in casts] or ["", ""]
    return f"| {name} | " + " | ".join([*cells, *told]) + " |"


def mean(values: Any) -> float:
    """Rounded to what a PSNR can bear."""
    return round(float(np.mean([*values])), 2)


if __name__ == "__main__":
    sys.exit(main())
