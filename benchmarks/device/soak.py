"""Tests whether memory stays constant over a run of many frames.

    python -m benchmarks.device.soak [--frames 100000] [--model demo_256x256_int8] [--size 256x256]

Frames of the synthetic camera go through the pipeline into the null sink, gate on. After a tenth of them, and then a
hundred times until the end, resident memory, threads and open files are noted. Exit code 3 when memory grew by 1 MiB or
more, or when there are more threads or files than there were.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from edge.cameras.options import read_size
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.run.health import Health
from edge.run.pipeline import Pipeline
from edge.sinks.null import NullSink

GROWTH = 1.0  # MiB


def main() -> int:
    """Run, measure, and compare with the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--model", default="demo_256x256_int8")
    parser.add_argument("--size", type=read_size, default=(256, 256), metavar="WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    warm = max(1, options.frames // 10)
    every = max(1, (options.frames - warm) // 100)
    seen: list[tuple[float, int, int]] = []

    def watch(health: Health) -> None:
        if health.frames >= warm + every * len(seen):
            seen.append((resident_mib(), threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
            if len(seen) % 10 == 1:
                print("{} frames: {:.2f} MiB, {} threads, {} files".format(health.frames, *seen[-1]), flush=True)

    camera = SyntheticCamera(SyntheticOptions(size=options.size, fps=None, frames=options.frames))
    with camera, Denoiser(resolve_model(options.model), options.threads, gate=True, stream=True) as denoiser:
        Pipeline(camera, denoiser, [NullSink()]).run(on_frame=watch)
    first, last = seen[0], seen[-1]
    growth = max(mib for mib, _, _ in seen[-10:]) - first[0]
    flat = growth < GROWTH and last[1] <= first[1] and last[2] <= first[2]
    print(f"grew by {growth:.2f} MiB over {options.frames - warm} frames: {'flat' if flat else 'NOT FLAT'}")
    return 0 if flat else 3


def resident_mib() -> float:
    """Memory, threads and open files of this process now."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
