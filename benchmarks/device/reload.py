"""How long frames wait while another model is loaded: the longest gap between two frames, all ways in turns in one run.

    python -m benchmarks.device.reload [--size 640x480] [--models A B] [--rounds 8] [--threads N] [--fps 30]

A synthetic camera feeds the denoiser, and a sink notes when each frame comes. Two models take over from each other
in these ways, each for the same time:

- none: no model is loaded; the others are compared with this.
- in place: the model is built and run once in a thread of this process, and what frames need beside it when the first
  one comes, as it was before there was a trial.
- at once: tried in a child process, and all is made ready; the runtime loads the model whenever that is.
- now: the same, and the runtime loads it, and gives the old one back, when a network has just begun to run.

Printed: the median and the largest of the worst gaps in ms, what they add to "none" in frame times (the longer of the
camera's and the network's), and the median time until the model has taken over.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from benchmarks.records import commit, machine
from edge.cameras.options import read_size
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.network.engine import Engine
from edge.network.frame_network import FrameNetwork
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.sinks.null import NullSink
from quietcam.image import Image

WINDOW = 2.0  # seconds over which the worst gap is looked for, at least


class Noting(NullSink):
    """Notes the time of each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def write(self, frame: Frame, denoised: Image) -> None:
        self.times.append(time.monotonic())
        super().write(frame, denoised)

    def worst(self, since: float) -> float:
        """The longest gap, in ms, that began at ``since`` or later, or lasted then."""
        times = [at for at in self.times if at >= since - 1]
        return 1000 * max(b - max(a, since) for a, b in itertools.pairwise(times) if b > since)


def in_place(denoiser: Denoiser, path: Path) -> None:
    engine = Engine(path, "cpu", denoiser.threads)
    engine.interpreter.invoke()
    denoiser._switch(FrameNetwork(engine), denoiser._make_gate(engine.model))


def at_once(denoiser: Denoiser, path: Path) -> None:
    with mock.patch("edge.network.runtime.gil_window.background_work", contextlib.nullcontext):
        denoiser.reload(path)


WAYS: dict[str, Callable[[Denoiser, Path], None]] = {
    "none": lambda _, __: None,
    "in place": in_place,
    "at once": at_once,
    "now": Denoiser.reload,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=read_size, default=(640, 480))
    parser.add_argument("--models", nargs=2, default=["small_640x480_int8", "demo_640x480_int8"], metavar=("A", "B"))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--fps", type=float, default=30.0)
    options = parser.parse_args()
    models = [resolve_model(name) for name in options.models]
    print(f"{machine()}, commit {commit()}, {options.size[0]}x{options.size[1]} at {options.fps:g} a second")
    print(f"{' and '.join(each.stem for each in models)}; load average {os.getloadavg()[0]:.1f}", flush=True)
    camera = SyntheticCamera(SyntheticOptions(size=options.size, fps=options.fps, rendered=4))
    sink = Noting()
    gaps: dict[str, list[float]] = {way: [] for way in WAYS}
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    with (
        camera,
        Denoiser(models[0], options.threads, gate=True, stream=True) as denoiser,
        _running(Pipeline(camera, denoiser, [sink])) as pipeline,
    ):
        time.sleep(WINDOW)
        for turn in range(options.rounds):
            for way, reload in WAYS.items():
                began = time.monotonic()
                reload(denoiser, models[(turn + 1) % 2] if way != "none" else models[0])
                took[way].append(time.monotonic() - began)
                time.sleep(max(WINDOW - took[way][-1], WINDOW / 4))
                gaps[way].append(sink.worst(began))
        frame = max(1000 / options.fps, pipeline.health.stages["denoise"].report()["p50"])
    usual = statistics.median(gaps["none"])
    print(f"a frame takes {frame:.1f} ms; load average {os.getloadavg()[0]:.1f}")
    for way, found in gaps.items():
        median = statistics.median(found)
        print(
            f"{way:10} worst gap {median:6.1f} ms (largest {max(found):6.1f}), adds {(median - usual) / frame:5.2f} "
            f"frame times; taken over after {statistics.median(took[way]):.2f} s"
        )
    return 0


@contextlib.contextmanager
def _running(pipeline: Pipeline) -> Iterator[Pipeline]:
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    try:
        yield pipeline
    finally:
        pipeline.stop()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
