"""The text of a model card, Markdown."""

from __future__ import annotations

import csv
from typing import Any

from benchmarks.network.card_figures import SETS, SIDE, Found, iso_drops, mean, summary
from benchmarks.network.card_scenes import FIRST_SCENE, PATCH, SCENE_BAND, SCENES, SHOWN, Scenes
from benchmarks.network.quality.targets import DROP
from benchmarks.records import RESULTS, machine
from compare.costs import read_costs
from edge.network.modelfile import ModelFile
from quietcam.tflite.manifest import Manifest


def _recipe(manifest: Manifest) -> str:
    ranges = manifest.training.get("ranges", {})
    body = ranges.get("body")
    if body is None and ranges.get("patches"):
        return (
            "Trained in float, then pruned, half of the weights to zero, while it learned with kernels and values of 8 "
            "bits. Its int8 ranges are from a representative set. Its float twin is the same weights without rounding."
        )
    if body is None:
        return (
            "Trained in float, half of the weights pruned to zero, then trained on under fake quantization (`--qat`). "
            "Its float twin is the same weights without rounding."
        )
    return (
        f"Its body is that of `{body['model']}`, in float and in int8: without a past, both give the same pictures, "
        "byte for byte. Only the fusion was trained, on clips. The scores below are those without a past; "
        "`docs/measurements/video.md` has what history gives, on clips."
    )


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
        f"Written by `python -m benchmarks.network.model_cards {name}` on {machine()}.",
        "",
        "## What it is",
        f"A residual encoder-decoder of plain convolutions (widths {net['widths']}, depths {net['depths']}{last}), "
        f"{manifest.gmacs_256:.3f} GMACs at 256x256, {costs['int8']['parameters']:,} parameters, "
        f"{manifest.sparsity:.0%} of its weights zero. It ships as int8 for 640x480 and for 256x256 tiles "
        f"({costs['int8']['bytes']:,} bytes, {costs['int8']['bytes_gzipped']:,} gzipped), both ends 1/255, -128, and "
        f"as its float twin ({costs['float32']['bytes']:,}, {costs['float32']['bytes_gzipped']:,}).",
        "",
        "## Data and license",
        f"{training['data']}. License of the data: {training['licence']}. The model itself: Apache-2.0.",
        "",
        "| share of each batch | from |",
        "| --- | --- |",
        *(f"| {share:.1%} | {source} |" for source, share in training.get("shares", {}).items()),
        "",
        f"No picture of the validation sets was trained on ({', '.join(SETS)}); the model was chosen by them.",
        "",
        "## Recipe",
        f"`train/configs/{name}.toml`: its head holds the commands. {_recipe(manifest)}",
        *runs_table(training.get("runs", [])),
        "",
        "## Scores",
        "PSNR in dB of central 256x256 crops, uint8 RGB, without the gate; casts are the mean error in steps of 255. "
        "These few crops are no SIDD benchmark.",
        "",
        "| picture | noisy | int8 | float twin | a peer | color cast of noisy, R G B | of int8 |",
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
        "How much of that is the processor's int8 dot product (`python -m benchmarks.device.kernels --threads 2`, "
        "which hides instructions from the kernels), 256x256 on two threads:",
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
    lines += ["", "## Limits", *limits(found, figures, made.border, repeated=net.get("border", 0)), ""]
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


def runs_table(runs: list[dict[str, Any]]) -> list[str]:
    """A table of every run behind the model, the first one first; empty if its manifest does not tell them."""
    if not runs:
        return []
    lines = ["", "| run | hours | steps | validation, dB | teacher |", "| --- | --- | --- | --- | --- |"]
    for each in runs:
        teacher = each.get("teacher")
        name = f"`{teacher['name']}`" if teacher else ""
        hours = each["seconds"] / 3600
        lines.append(f"| {each['phase']} | {hours:.2f} | {each['steps']:,} | {each['psnr']:.2f} | {name} |")
    hours = sum(each["seconds"] for each in runs) / 3600
    return [
        *lines,
        "",
        f"{hours:.2f} hours in all, on the machines that trained. The manifest has their data and settings.",
    ]


def limits(found: dict[str, list[Found]], figures: dict[str, float], at_border: float, *, repeated: int) -> list[str]:
    """The limits of the model, from the figures. ``repeated``: pixels that its network repeats beyond each edge."""
    rows = [row for each in SETS for row in found[each]]
    least = min(rows, key=lambda row: row.by_model["int8"])
    worse = [row for row in rows if row.by_model["int8"] < row.noisy]
    cast = max(rows, key=lambda row: max(map(abs, row.cast)))
    lines = [
        f"- Its worst crop is {least.name}: {least.noisy:.2f} to {least.by_model['int8']:.2f} dB.",
        f"- Its strongest color cast is that of {cast.name}: {cast.cast} steps of 255; the noisy side's is "
        f"{cast.noisy_cast}, since what is clipped at black makes a dark picture's noise one-sided.",
        "- Made worse, without the gate: "
        + ("; ".join(f"{row.name}, {row.noisy:.2f} to {row.by_model['int8']:.2f} dB" for row in worse) or "none.")
        + ("" if not worse else "."),
        "- Without the gate a clean picture keeps "
        f"{min(figures['native_clean_bare'], figures['small_clean_bare'])} dB at the least: faint texture is taken for "
        "noise. `quietcam run` has the gate on.",
    ]
    drops = [f"{figures[f'{short}_drop']} dB on {each}" for short, each in zip(("native", "small"), SETS, strict=True)]
    if max(figures["native_drop"], figures["small_drop"]) > DROP[1]:
        lines.append(f"- int8 loses {' and '.join(drops)} to its float twin, where we want {DROP[1]} at most.")
    return [
        *lines,
        f"- The outermost two pixels of a frame keep {at_border} times the error of the rest: "
        + (f"the network repeats {repeated} pixels beyond each edge." if repeated else "black is beyond."),
        "- Real noise was seen from five phones alone; a Raspberry Pi's only as simulated from its tuning files.",
    ]


def by_kernels(name: str) -> dict[str, dict[str, str]]:
    """The last figures of ``kernels.py`` for a model on two threads, by the instructions that its kernels had."""
    found: dict[str, dict[str, str]] = {}
    with (RESULTS / "kernels.csv").open(newline="", encoding="utf-8") as file:
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
