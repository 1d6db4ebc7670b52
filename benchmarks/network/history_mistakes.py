"""Measures the cost in dB of each mistake in the history of a representative set, by converting a video network.

    quietcam data generate --clips --count 48 --frames 20 --seed 500000 --out calibrate
    quietcam data generate --clips --count 8 --frames 24 --seed 1000000 --out judge
    python -m benchmarks.network.history_mistakes --model FLOAT.tflite --calibrate calibrate --data judge

Each is measured twice, as in ``representative_mistakes``: calibrated like TensorFlow's converter (least and greatest
value), and with quietcam's ranges (those of the fusion are designed and cannot be wrong). The network runs over each
clip of --data and remembers what it gave itself, as on a device. The figure is the mean PSNR of all frames but the
first four. ``drop`` is the loss to the float network. ``linter`` names the findings of
``quietcam.representative.lint``. Writes history_mistakes.csv.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.network.representative_mistakes import by_tensorflow
from benchmarks.records import RESULTS, commit, machine
from calibration.choose import calibrate
from convert.quantize.ranges import measure_ranges, quantize
from quietcam.data.clips.clip import ClipFrames, load_clips
from quietcam.data.pictures.files import read_picture
from quietcam.files.atomic import atomic_path
from quietcam.image import Image, to_float, to_uint8
from quietcam.metrics import psnr
from quietcam.representative.lint import lint
from quietcam.representative.set import RepresentativeSet, patch_sha256
from quietcam.terminal.progress import progress
from quietcam.tflite.manifest import strip_manifest
from quietcam.tflite.outline import end_names, read_outline

HEAD = ("mistake", "calibration", "psnr", "drop", "severity", "linter")
SETTLED = 4  # frames of a clip that are not judged

Pairs = list[tuple[Image, Image]]


def sets(honest: RepresentativeSet, data: Path) -> Iterator[tuple[str, RepresentativeSet]]:
    """The honest set, and the same patches with history as users might store it by mistake."""
    assert honest.history is not None
    yield "none", honest
    yield "no past: each patch is its own history", _with(honest, honest.patches)
    shift = len(honest) // 2 + 1
    yield "of other samples", _with(honest, np.roll(honest.history, shift, axis=0))
    rng = np.random.default_rng(0)
    yield "random values", _with(honest, rng.integers(0, 256, honest.patches.shape, np.uint8))
    yield "the clean side", _with(honest, clean_sides(honest, data))
    yield "black", _with(honest, np.zeros_like(honest.patches))


def _with(honest: RepresentativeSet, history: Image) -> RepresentativeSet:
    history = np.ascontiguousarray(history)
    return replace(
        honest,
        history=history,
        history_sha256=tuple(patch_sha256(each) for each in history),
        origin={key: value for key, value in honest.origin.items() if key != "history"},
    )


def clean_sides(honest: RepresentativeSet, data: Path) -> Image:
    """What lies in the clean frame at each sample's box."""
    places = {pair.name: pair.clean for clip in load_clips(data) for pair in clip.pairs}
    read: dict[str, Image] = {}
    cut = []
    for source, (x0, y0, x1, y1) in zip(honest.source, honest.box.tolist(), strict=True):
        if source not in read:
            read[source] = read_picture(places[source])
        cut.append(read[source][y0:y1, x0:x1])
    return np.stack(cut)


def by_quietcam(content: bytes, pairs: Pairs) -> bytes:
    frames = [np.stack([to_float(noisy), to_float(history)]) for noisy, history in pairs]
    return quantize(content, measure_ranges(content, lambda: iter(frames)))


def as_tensorflow(content: bytes, pairs: Pairs) -> bytes:
    """As a user would: one array for each input, in the order of the graph."""
    names = _names(content, "inputs", "noisy")
    ordered = [[to_float(pair[name == "history"])[np.newaxis] for name in names] for pair in pairs]
    return by_tensorflow(content, ordered)


def _names(content: bytes, side: str, first: str) -> tuple[str, ...]:
    ends = [end.name for end in getattr(read_outline(content, "the model"), side)]
    found = end_names((), ends, first)
    if found is not None:
        return found
    return ("denoised", "history")[: len(ends)]  # as Keras orders them


class Runner:
    """A model, float or int8, that remembers what it gave itself."""

    def __init__(self, content: bytes, names: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=content, num_threads=2)
        self._interpreter.allocate_tensors()
        self._entrances = dict(zip(names[0], self._interpreter.get_input_details(), strict=True))
        self._exits = dict(zip(names[1], self._interpreter.get_output_details(), strict=True))

    def run(self, noisy: Image, history: Image) -> tuple[Image, Image]:
        for name, given in (("noisy", noisy), ("history", history)):
            end = self._entrances[name]
            values = to_float(given)[np.newaxis]
            if end["dtype"] == np.int8:
                scale, zero = end["quantization"]
                values = np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)
            self._interpreter.set_tensor(end["index"], values)
        self._interpreter.invoke()
        denoised = self._pixels("denoised")
        return denoised, self._pixels("history") if "history" in self._exits else denoised

    def _pixels(self, name: str) -> Image:
        end = self._exits[name]
        values: NDArray[Any] = self._interpreter.get_tensor(end["index"])[0].astype(np.float32)
        if end["dtype"] == np.int8:
            scale, zero = end["quantization"]
            values = (values - zero) * scale
        return to_uint8(values)


def judge(
    content: bytes, names: tuple[tuple[str, ...], tuple[str, ...]], clips: list[ClipFrames], remembers: bool = True
) -> float:
    """Mean PSNR over the clips' frames. With ``remembers`` off, each noisy frame is given as its own history."""
    runner = Runner(content, names)
    ratios = []
    for clip in clips:
        history: Image | None = None
        for number, (noisy, clean) in enumerate(zip(clip.noisy, clip.clean, strict=True)):
            denoised, history = runner.run(noisy, noisy if history is None or not remembers else history)
            if number >= SETTLED:
                ratios.append(psnr(denoised, clean))
    return float(np.mean(ratios))


def measure(model: Path, calibration: Path, data: Path, count: int) -> Iterator[tuple[Any, ...]]:
    content = strip_manifest(model.read_bytes())
    names = _names(content, "inputs", "noisy"), _names(content, "outputs", "denoised")
    height, width = read_outline(content, str(model)).inputs[0].shape[1:3]
    clips = [clip.read() for clip in load_clips(data)]
    part = np.s_[:, :height, :width]
    clips = [ClipFrames(clip.noisy[part], clip.clean[part], clip.moving[part]) for clip in clips]
    ceiling = judge(content, names, clips)
    yield ("float network", "", ceiling, 0.0, "", "")
    still = judge(content, names, clips, remembers=False)
    yield ("float network, never a history", "", still, ceiling - still, "", "")
    honest = calibrate(calibration, count=count, model=model).representative
    everything = list(sets(honest, calibration))
    ways: tuple[tuple[str, Callable[[bytes, Pairs], bytes]], ...]
    ways = (("tensorflow", as_tensorflow), ("quietcam", by_quietcam))
    with progress("Converting", len(ways) * len(everything)) as bar:
        for mistake, representative in everything:
            found = lint(representative)
            severity = found[0].severity if found else ""
            pairs = list(representative.pairs(height, width))
            for name, convert in ways:
                ratio = judge(convert(content, pairs), names, clips)
                yield (mistake, name, ratio, ceiling - ratio, severity, " ".join(f.name for f in found))
                bar.advance()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a video network as a .tflite in float32")
    parser.add_argument("--calibrate", type=Path, required=True, help="clips for the sets")
    parser.add_argument("--data", type=Path, required=True, help="clips that PSNR is measured on")
    parser.add_argument("--count", type=int, default=128, help="samples in each set")
    parser.add_argument("--out", type=Path, default=RESULTS / "history_mistakes.csv")
    arguments = parser.parse_args()
    rows = []
    for row in measure(arguments.model, arguments.calibrate, arguments.data, arguments.count):
        mistake, name, ratio, drop, severity, linter = row
        print(f"{mistake:40} {name:11} {ratio:6.2f} dB  drop {drop:6.2f}  {severity:8} {linter}", flush=True)
        rows.append(row)
    with atomic_path(arguments.out) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("date", "commit", "machine", "model", "samples", *HEAD))
        about = f"{datetime.now(UTC):%Y-%m-%d}", commit(), machine(), arguments.model.stem, str(arguments.count)
        for mistake, name, ratio, drop, severity, linter in rows:
            table.writerow((*about, mistake, name, f"{ratio:.3f}", f"{drop:.3f}", severity, linter))


if __name__ == "__main__":
    main()
