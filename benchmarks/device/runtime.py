"""Compares the runtime with the bare network: speed, start, memory, tiles.

    python -m benchmarks.device.runtime [--frames 300] [--csv benchmarks/results/runtime.csv] [--models FOLDER]

TensorFlow first makes networks shaped like `small` and `nano` at 640x480 and 1920x1088 (in its own process; kept in
FOLDER) or taken from there; they pass their input through, so that the do-no-harm gate is open, which costs most. Then:

- speed: bare invoke, the denoiser around it (gate on) and the whole pipeline from the synthetic camera to the null
  sink, in turns in one process, for 1 and 2 threads. "share" is the pipeline's throughput divided by that of bare
  invoke, "adds" the denoiser's mean minus that of invoke, both the median over ten rounds; "blended" is the same with
  strength 0.5: every pixel is blended.
- start: from the start of the process until its first denoised frame comes out of it.
- memory: memory of `quietcam run` after --frames frames.
- tail: depth-to-space on the host, for graphs that end before it.
- tiles: 640x480 in tiles of 256 with the model that ships, compared with the whole frame: error by overlap.

Limits (exit code 3 if one is not kept), for `small` on one thread: share at least 0.95; adds at most 0.6 ms at
640x480 and 2 ms at 1920x1080; first frame within 1 s; memory below 150 and 300 MiB; tail below 1 ms at 640x480.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import RESULTS, ROOT, append, commit, machine
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from quietcam.architecture import Architecture
from quietcam.blocks import depth_to_space
from quietcam.data.pictures.files import write_picture
from quietcam.metrics import psnr
from quietcam.sensor.scenes import make_pair

NETS = {"small": Architecture(), "nano": Architecture(widths=(16, 16, 32, 48), depths=(1, 1, 1, 1))}
FRAMES = {(640, 480): (640, 480), (1920, 1080): (1920, 1088)}  # and the models that take them whole
SHARE, ADDS, START, MEMORY, TAIL = 0.95, {480: 0.6, 1080: 2.0}, 1.0, {480: 150, 1080: 300}, 1.0


def main() -> int:
    """Measure, print, append to the file, and compare with the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="frames of each kind")
    parser.add_argument("--csv", type=Path, default=RESULTS / "runtime.csv")
    parser.add_argument("--models", type=Path, default=ROOT / ".cache" / "runtime")
    parser.add_argument("--only", action="append", help="speed, start, memory, tail or tiles; default: all")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--speed", nargs=4, metavar=("MODEL", "SIZE", "THREADS", "STRENGTH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_nets(options.models)
        return 0
    if options.speed:
        print(json.dumps(speed_here(options.speed, options.frames)))
        return 0
    if not all(net_path(options.models, name, size).exists() for name in NETS for size in FRAMES.values()):
        print(f"making nets in {options.models}", file=sys.stderr)
        itself("--make", "--models", options.models)
    missed: list[str] = []
    rows: list[dict[str, Any]] = []

    def note(what: str, of: str, value: float, holds: bool | None) -> None:
        rows.append({"what": what, "of": of, "value": round(value, 3)})
        verdict = "" if holds is None else "  holds" if holds else "  DOES NOT HOLD"
        print(f"{what:20}{of:44}{value:10.3f}{verdict}", flush=True)
        if holds is False:
            missed.append(f"{what} of {of}")

    parts: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(options, note),
        "start": lambda: start(options, note),
        "memory": lambda: memory(options, note),
        "tail": lambda: tail(note),
        "tiles": lambda: tiles(note),
    }
    for name in options.only or parts:
        parts[name]()
    about = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit(), "machine": machine()}
    for row in rows:
        append(options.csv, about | row)
    if missed:
        print(f"did not hold: {', '.join(missed)}")
    return 3 if missed else 0


Note = Callable[[str, str, float, bool | None], None]


def speed(options: argparse.Namespace, note: Note) -> None:
    """Shares of bare invoke, and the time that a frame takes beyond it."""
    for (width, height), size in FRAMES.items():
        for name in NETS:
            for threads in (1, 2):
                path = net_path(options.models, name, size)
                of = f"{name}, {width}x{height}, threads {threads}"
                judged = name == "small" and threads == 1
                words = ("--speed", path, f"{width}x{height}", threads)
                report = json.loads(itself(*words, 1.0, "--frames", options.frames))
                blended = json.loads(itself(*words, 0.5, "--frames", max(20, options.frames // 4)))
                note("invoke ms", of, report["invoke"]["p50"], None)
                note("share", of, report["pipeline_share"], report["pipeline_share"] >= SHARE if judged else None)
                adds = report["overhead_ms"]
                note("adds ms", of, adds, adds <= ADDS[height] if judged else None)
                note("adds blended ms", of, blended["overhead_ms"], None)


def speed_here(words: list[str], frames: int) -> dict[str, Any]:
    """The report of ``bench`` for one model in this process."""
    from edge.bench import bench
    from edge.network.modelfile import load_model

    path, size, threads, strength = words
    width, height = map(int, size.split("x"))
    model = load_model(path)
    return bench([model], (width, height), int(threads), frames, strength=float(strength))[0]


def start(options: argparse.Namespace, note: Note) -> None:
    """Time until the first denoised frame, of a picture, and of the synthetic camera at both sizes."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "a.png"
        write_picture(picture, np.tile(make_pair(1, 320, band=(22, 24))[0], (2, 2, 1))[:480, :640])
        sources: list[tuple[str, object, object]] = [("one picture of 640x480", picture, "demo_640x480_int8")]
        for (width, height), size in FRAMES.items():
            camera = f"synthetic:size={width}x{height},rendered=1"
            sources.append((f"synthetic, {width}x{height}", camera, net_path(options.models, "small", size)))
        for of, source, model in sources:
            words = [sys.executable, "-m", "quietcam", "run", "--threads", 1, "--frames", 1]
            words += ["--source", source, "--sink", "-", "--model", model]
            took = statistics.median([first_frame(words) for _ in range(6)][1:])  # the first one warms the page cache
            note("first frame s", of, took, took <= START)


def first_frame(words: list[object]) -> float:
    """Seconds from the start of a process to the first byte that it writes."""
    began = time.monotonic()
    with subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as child:
        assert child.stdout is not None
        first = child.stdout.read(1)
        took = time.monotonic() - began
        while child.stdout.read(1 << 20):
            pass
    if child.returncode or not first:
        raise SystemExit(f"it failed: {words}")
    return took


def memory(options: argparse.Namespace, note: Note) -> None:
    """Resident memory of a run: while it runs, and at its peak, when scenes are rendered."""
    for (width, height), size in FRAMES.items():
        words = [sys.executable, "-m", "quietcam", "run", "--threads", 1, "--json", "-", "--frames", options.frames]
        words += ["--source", f"synthetic:size={width}x{height},fps=max", "--sink", "null"]
        words += ["--model", net_path(options.models, "small", size)]
        seen = resident(words)
        of = f"small, {width}x{height}, threads 1"
        settled = statistics.median(
            seen[len(seen) // 2 : -3]
        )  # scenes are rendered first; at the end all memory is freed
        note("resident MiB", of, settled, settled < MEMORY[height])
        note("peak MiB", of, max(seen), None)


def resident(words: list[object]) -> list[float]:
    """Memory of a process in MiB, measured ten times a second."""
    seen = []
    with subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while child.poll() is None:
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii").splitlines()
            seen += [int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:")]
            time.sleep(0.1)
    if child.returncode:
        raise SystemExit(f"it failed: {words}")
    return seen


def tail(note: Note) -> None:
    """Depth-to-space on the host."""
    for width, height in FRAMES.values():
        out = np.empty((height, width, 3), np.int8)
        for block in (2, 4):
            blocks = np.zeros((height // block, width // block, 3 * block**2), np.int8)
            took = []
            for _ in range(30):
                began = time.perf_counter()
                depth_to_space(blocks, block, out)
                took.append(time.perf_counter() - began)
            ms = 1000 * statistics.median(took)
            note("tail ms", f"{width}x{height}, blocks of {block}", ms, ms < TAIL if height == 480 else None)


def tiles(note: Note) -> None:
    """The error of smaller overlaps, and the time of larger ones."""
    frame = np.ascontiguousarray(make_pair(5, 640, band=(22, 24))[0][:480])
    with Denoiser(resolve_model("demo_640x480_int8"), 1) as denoiser:
        whole = denoiser.denoise(frame)
    for overlap in (0, 16, 32, 64, 96, 128, 208):
        with Denoiser(resolve_model("demo_256x256_int8"), 1, overlap) as denoiser:
            tiled = denoiser.denoise(frame)
            of = f"overlap {overlap}, {denoiser.tiles(480, 640)} tiles"
        error = np.abs(tiled.astype(int) - whole)
        note("largest error", of, float(error.max()), None)
        note("error dB", of, min(psnr(tiled, whole), 100.0), None)


def net_path(folder: Path, name: str, size: tuple[int, int]) -> Path:
    """The path of a network of one size."""
    return folder / f"{name}_{size[0]}x{size[1]}_int8.tflite"


def make_nets(folder: Path) -> None:
    """Untrained networks, which take the same time as trained ones."""
    from quietcam.representative.set import RepresentativeSet, patch_sha256, save_set
    from train.model import build

    folder.mkdir(parents=True, exist_ok=True)
    patches = np.stack([make_pair(seed, 128)[0] for seed in range(16)])
    box = np.tile(np.array([0, 0, 128, 128], np.int32), (16, 1))
    hashes = tuple(patch_sha256(patch) for patch in patches)
    save_set(folder / "rep.npz", RepresentativeSet(patches, ("scene",) * 16, ("",) * 16, box, hashes))
    for name, architecture in NETS.items():
        build(architecture, name=name).save(folder / f"{name}.keras")
        words = [sys.executable, "-m", "quietcam", "convert", folder / f"{name}.keras", "--recipe", "int8"]
        for width, height in FRAMES.values():
            words += ["--size", f"{width}x{height}"]
        words += ["--representative", folder / "rep.npz", "--out", folder, "--name", name]
        subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def itself(*words: object) -> str:
    """Run this script again, in a separate process; returns its output."""
    command = [sys.executable, "-m", "benchmarks.device.runtime", *(str(word) for word in words)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
