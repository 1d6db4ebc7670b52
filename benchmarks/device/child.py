"""Time and memory of an Edge TPU's library in a separate process: all ways in turns, in one run.

    python -m benchmarks.device.child [--frames 200] [--rounds 10] [--before CHECKOUT] [--csv FILE]

The tests' delegate library (tests/edge/fake_edgetpu.c; it needs a C compiler) replaces an Edge TPU: it inverts the
picture, which takes almost no time, so that the time around it shows. Measured at 640x480, for one picture in,
through the network, and out again:

- in process: the library is loaded in this process
- child: it is loaded in a child process
- cpu: the network on the CPU, on one thread, in this process
- memory: memory of the child (PSS and RSS), and the most that it may take

"adds" is the median over the rounds of the child's median minus that of "in process". With --before, a checkout of
another commit, the denoiser on the CPU is measured with the code of both, in separate processes, in turns: "cpu
after by before". A checkout of the same commit shows how accurate the machine is. Nothing here was run on an
Edge TPU.

Run it on an idle machine: two processes that take turns wait for a processor that others use. Of the results of
2026-11-30 only those of commit 0699693 come from an idle machine: adds was 0.12 ms. The others had a load average of 10
to 15 on two cores: adds was 0.12 to 0.47 ms in five of seven and 2.2 and 7.4 in two, and the same code by itself gave
1.074.

Limits (exit code 3 if one is exceeded): adds below 1 ms; cpu after by before at most 1.02.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.judged import Judged
from benchmarks.records import RESULTS, ROOT
from edge.child.memory import memory_limit
from edge.child.tpu import Tpu, TpuInterpreter
from edge.models import resolve_model
from edge.network.delegates import LIBRARY_VARIABLE, Device, load_delegate
from edge.network.interpreter import Interpreter
from edge.network.modelfile import load_model

MODEL = "demo_640x480_int8"
FAKE = ROOT / "tests" / "edge" / "fake_edgetpu.c"
ADDS, CPU = 1.0, 1.02
USB = Device("usb", 0)
PATIENCE = 60.0

# Run with the code of either checkout: milliseconds of one frame, the median.
_CPU = """
import statistics, sys, time
import numpy as np
from edge.network.denoiser import Denoiser
model, frames = sys.argv[1], int(sys.argv[2])
noisy = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
out, times = np.empty_like(noisy), []
with Denoiser(model, 1) as denoiser:
    for _ in range(frames):
        start = time.perf_counter()
        denoiser.denoise(noisy, out)
        times.append(time.perf_counter() - start)
print(1000 * statistics.median(times[3:]))
"""


def main() -> int:
    """Measure, print, append to the file, and compare with the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200, help="frames of each kind in each round")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--before", type=Path, help="checkout of another commit, to compare with")
    parser.add_argument("--csv", type=Path, default=RESULTS / "child.csv")
    options = parser.parse_args()
    note = Judged(options.csv, {"model": MODEL, "frames": options.frames * options.rounds}, 28)
    note("load average", os.getloadavg()[0])
    with tempfile.TemporaryDirectory() as folder:
        fake_bus(Path(folder))
        child(options.frames, options.rounds, note)
    if options.before is not None:
        cpu(options.before, options.frames, options.rounds, note)
    return note.exit_code()


def fake_bus(folder: Path) -> None:
    """Compile the library, and plug one device in."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("no C compiler (cc)")
    library = folder / "libfake_edgetpu.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(FAKE)], check=True)
    (folder / "usb0").touch()
    os.environ |= {"FAKE_EDGETPU": str(folder), LIBRARY_VARIABLE: str(library)}


def child(frames: int, rounds: int, note: Judged) -> None:
    """The same network in this process, in a child, and on the CPU."""
    model = load_model(resolve_model(MODEL))
    noisy = np.random.default_rng(0).integers(0, 256, (model.height, model.width, 3), np.uint8)
    out = np.empty_like(noisy)
    tpu = Tpu.take(USB)
    with (
        Interpreter(model, 1) as plain,
        Interpreter(model, 1, load_delegate(USB)) as here,
        TpuInterpreter(tpu, model, 1, PATIENCE, PATIENCE) as there,
    ):
        subjects: dict[str, Interpreter] = {"in process": here, "child": there, "cpu": plain}
        medians: dict[str, list[float]] = {name: [] for name in subjects}
        for number in range(rounds + 1):
            for name, subject in subjects.items():
                taken = []
                for _ in range(frames):
                    start = time.perf_counter()
                    subject.run(noisy, out)
                    taken.append(1000 * (time.perf_counter() - start))
                if number:  # the first round warms up
                    medians[name].append(statistics.median(taken))
                if subject is not plain:
                    assert (out == 255 - noisy).all()
        for name, values in medians.items():
            note(f"{name} ms", statistics.median(values))
        pairs = zip(medians["child"], medians["in process"], strict=True)
        adds = statistics.median(after - before for after, before in pairs)
        note("adds ms", adds, adds < ADDS)
        lines = Path(f"/proc/{tpu.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        held = dict(line.split()[:2] for line in lines if ":" in line.split()[0])
        for kind in ("Pss", "Rss"):
            note(f"child {kind.upper()} MiB", int(held[f"{kind}:"]) / 1024)
        note("child may take MiB", memory_limit() / (1 << 20))


def cpu(before: Path, frames: int, rounds: int, note: Judged) -> None:
    """The denoiser on the CPU, with the code of two checkouts."""
    model = str(resolve_model(MODEL).resolve())
    ratios = []
    for number in range(rounds):
        took: dict[Path, float] = {}
        places = [before.resolve(), ROOT]
        for place in places if number % 2 else reversed(places):
            words = [sys.executable, "-P", "-c", _CPU, model, str(frames)]
            environment = os.environ | {"PYTHONPATH": str(place)}
            done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
            took[place] = float(done.stdout)
        ratios.append(took[places[1]] / took[places[0]])
    ratio = statistics.median(ratios)
    note("cpu after by before", ratio, ratio <= CPU)


if __name__ == "__main__":
    sys.exit(main())
