"""Measures the cost in dB of each mistake in representative data, by converting the shipped demo network with it.

    python -m benchmarks.network.representative_mistakes [--frames 32] [--pictures 16] [--calibrate DIR] [--data DIR]

Each is measured twice: calibrated like TensorFlow's converter (least and greatest value), and with quietcam's ranges (a
small tail is cut off, input and output stay at [0, 1]). The checks that would refuse some of these sets are skipped.
The figure is the mean PSNR over held-out pairs. ``drop`` is the loss to the float network. ``linter`` is the finding of
``quietcam.representative.lint``. Pairs are generated unless --calibrate and --data name others. Writes
representative_mistakes.csv.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.records import RESULTS, commit, machine
from convert.quantize.ranges import measure_ranges, quantize
from edge.models import resolve_model
from quietcam.data.generated import make_generated_pair
from quietcam.data.sets.pairs import find_pairs
from quietcam.files.atomic import atomic_path
from quietcam.metrics import psnr
from quietcam.process.native_output import native_output_caught
from quietcam.representative.lint import lint
from quietcam.terminal.progress import progress
from quietcam.tflite.manifest import strip_manifest

SIZE = 256
BAND, JUDGE_BAND = (18.0, 30.0), (20.0, 26.0)
CALIBRATION_SEED, JUDGE_SEED = 500_000, 1_000_000
HEAD = ("mistake", "calibration", "psnr", "drop", "input_scale", "input_zero_point", "severity", "linter")

BOUNDS = {
    "0..255 floats": (10.0, 40.0, "range-255"),
    "dark only (an eighth)": (10.0, 40.0, "dark"),
    "zeros": (10.0, 40.0, "constant"),
    "[-1, 1] floats": (0.1, 1.0, "range-signed"),
    "clean only": (0.3, 8.0, "clean"),
    "random": (-0.1, 0.2, "random"),
}
"""For the six most frequent mistakes: least and greatest cost in dB with the worse way to calibrate, beyond the cost of
a correct set, and the linter's finding. A test checks these."""

Floats = NDArray[np.float32]


def sets(source: Path | None, frames: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Representative data ``(N, 256, 256, 3)`` as users might give it: correct, and with one mistake each."""
    made = read_pairs(source, frames, CALIBRATION_SEED, BAND)
    noisy, clean = np.stack([pair[0] for pair in made]), np.stack([pair[1] for pair in made])
    rng = np.random.default_rng(0)
    yield "none", noisy
    yield "0..255 floats", noisy.astype(np.float32)
    yield "dark only (an eighth)", noisy // 8
    yield "zeros", np.zeros_like(noisy)
    yield "[-1, 1] floats", noisy / np.float32(127.5) - 1
    yield "clean only", clean
    yield "random", rng.integers(0, 256, noisy.shape, np.uint8)
    yield "less ImageNet's mean, by its deviation", standardize(noisy)
    yield "red and blue swapped", noisy[..., ::-1].copy()
    yield "1 frame", noisy[:1]
    yield "4 frames", noisy[:4]
    yield "1 frame repeated", np.repeat(noisy[:1], len(noisy), axis=0)
    yield "40 to 200 of 255 only", 40 + (noisy * np.float32(160 / 255)).astype(np.uint8)
    yield "bright only", 192 + noisy // 4


def standardize(noisy: NDArray[np.uint8]) -> Floats:
    mean, deviation = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    return np.asarray((noisy / np.float32(255) - mean) / deviation, np.float32)


def by_tensorflow(content: bytes, frames: Iterable[Sequence[Floats]]) -> bytes:
    """As ``TFLiteConverter`` does it with a representative data set, all ends int8; a frame has one array an input."""
    with native_output_caught(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
        from tensorflow.lite.python.convert import mlir_quantize
        from tensorflow.lite.python.optimize.calibrator import Calibrator

        calibrated = Calibrator(content).calibrate(lambda: (list(each) for each in frames))
        return bytes(mlir_quantize(calibrated, fully_quantize=True, input_data_type=tf.int8, output_data_type=tf.int8))


def by_tensorflow_alone(content: bytes, frames: Floats) -> bytes:
    return by_tensorflow(content, ([frame[np.newaxis]] for frame in frames))


def by_quietcam(content: bytes, frames: Floats) -> bytes:
    return quantize(content, measure_ranges(content, lambda: (frame[np.newaxis] for frame in frames)))


def judge(content: bytes, pairs: list[tuple[Any, Any]]) -> tuple[float, float, int]:
    """Mean PSNR over the pairs; scale and zero point of the input."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=2)
    interpreter.allocate_tensors()
    entrance, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    ratios = []
    for noisy, clean in pairs:
        values = noisy[np.newaxis] / np.float32(255)
        if entrance["dtype"] == np.int8:
            scale, zero = entrance["quantization"]
            values = np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(entrance["index"], values)
        interpreter.invoke()
        denoised = interpreter.get_tensor(exit_["index"])[0].astype(np.float32)
        if exit_["dtype"] == np.int8:
            scale, zero = exit_["quantization"]
            denoised = (denoised - zero) * scale
        ratios.append(psnr(np.rint(np.clip(denoised * 255, 0, 255)).astype(np.uint8), clean))
    return float(np.mean(ratios)), *entrance["quantization"]


def read_pairs(source: Path | None, count: int, seed: int, band: tuple[float, float]) -> list[tuple[Any, Any]]:
    """Noisy and clean, 256x256: generated from ``seed`` on, or the corners of a data set's pictures."""
    if source is None:
        return [make_generated_pair(seed + i, size=SIZE, band=band) for i in range(count)]
    found = find_pairs(source).pairs
    chosen = (found[int(i)] for i in np.linspace(0, len(found) - 1, min(count, len(found))))
    read = (pair.read() for pair in chosen)
    return [(noisy[:SIZE, :SIZE], clean[:SIZE, :SIZE]) for noisy, clean in read if min(noisy.shape[:2]) >= SIZE]


def measure(
    source: Path | None, frames: int, pairs: list[tuple[Any, Any]], only: Sequence[str] | None = None
) -> Iterator[tuple[Any, ...]]:
    content = strip_manifest(resolve_model("demo_256x256_float32").read_bytes())
    ceiling = judge(content, pairs)[0]
    yield ("float network", "", ceiling, 0.0, None, None, "", "")
    everything = [each for each in sets(source, frames) if only is None or each[0] in only]
    with progress("Converting", 2 * len(everything)) as bar:
        for mistake, array in everything:
            found = lint(array)
            severity = found[0].severity if found else ""
            # A loader divides uint8 by 255; floats are used unchanged.
            fed = np.asarray(array / np.float32(255) if array.dtype == np.uint8 else array, np.float32)
            for name, convert in (("tensorflow", by_tensorflow_alone), ("quietcam", by_quietcam)):
                ratio, scale, zero = judge(convert(content, fed), pairs)
                yield (mistake, name, ratio, ceiling - ratio, scale, zero, severity, " ".join(f.name for f in found))
                bar.advance()


def show(rows: list[tuple[Any, ...]]) -> None:
    for mistake, name, ratio, drop, scale, zero, severity, linter in rows:
        ends = "" if scale is None else f"{scale:.7f} {zero:5d}"
        print(f"{mistake:40} {name:11} {ratio:6.2f} dB  drop {drop:6.2f}  {ends:18} {severity:8} {linter}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=32, help="frames in each representative set")
    parser.add_argument("--pictures", type=int, default=16, help="pairs that PSNR is measured on")
    parser.add_argument("--calibrate", type=Path, help="pairs for the sets. Default: generated ones")
    parser.add_argument("--data", type=Path, help="pairs that PSNR is measured on. Default: generated ones")
    parser.add_argument("--out", type=Path, default=RESULTS / "representative_mistakes.csv")
    arguments = parser.parse_args()
    pairs = read_pairs(arguments.data, arguments.pictures, JUDGE_SEED, JUDGE_BAND)
    rows = list(measure(arguments.calibrate, arguments.frames, pairs))
    show(rows)
    where = [
        str(arguments.frames),
        "generated" if arguments.calibrate is None else "/".join(arguments.calibrate.resolve().parts[-2:]),
        str(len(pairs)),
        "generated" if arguments.data is None else "/".join(arguments.data.resolve().parts[-2:]),
    ]
    with atomic_path(arguments.out) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        about = f"{datetime.now(UTC):%Y-%m-%d}", commit(), machine()
        table.writerow(("date", "commit", "machine", "frames", "frames_of", "pairs", "pairs_of", *HEAD))
        for mistake, name, ratio, drop, scale, zero, severity, linter in rows:
            scale = "" if scale is None else f"{scale:.8f}"
            row = (mistake, name, f"{ratio:.3f}", f"{drop:.3f}", scale, zero, severity, linter)
            table.writerow((*about, *where, *row))


if __name__ == "__main__":
    main()
