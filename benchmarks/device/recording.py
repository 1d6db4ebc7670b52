"""What recording costs beside the network: ratios in one run.

    python -m benchmarks.device.recording [--frames 100] [--rounds 7] [--threads N] [--csv FILE]

A simulated camera of 640x480 is denoised by `small`, and its denoised frames are recorded. Measured in turns:

- network: milliseconds of a frame in the network, alone
- record, clip.mp4, clip.webm, clip.avi: milliseconds of processor time of
  a frame in the sink. "by network" divides them by the network's
- network while recording: milliseconds of a frame in the network, while the sink's thread records the frames before it,
  as in a run at full speed. "slowed" divides them by the network's alone, "recorded" is the share of the frames that
  the sink had time for: it gives way to the network

Limits (exit code 3 if one is exceeded): record by network at most 0.333; slowed below 1.10.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.judged import Judged
from benchmarks.records import RESULTS
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.network.denoiser import Denoiser
from edge.run.frame import Frame
from edge.run.sink_thread import SinkThread, Slot
from edge.sinks import open_sink
from edge.sinks.base import Sink
from quietcam.image import Image

MODEL = "small_640x480_int8"
SHARE, SLOWED = 1 / 3, 1.10
FPS = 30.0
SINKS = ("record:{folder}/record", "{folder}/clip.mp4", "{folder}/clip.webm", "{folder}/clip.avi")


def main() -> int:
    """Measure, print, append to the file, and compare with the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100, help="frames of each kind in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of the network")
    parser.add_argument("--csv", type=Path, default=RESULTS / "recording.csv")
    options = parser.parse_args()
    note = Judged(options.csv, {"model": MODEL, "frames": options.frames * options.rounds}, 32)
    note("load average", os.getloadavg()[0])
    with Denoiser(MODEL, options.threads) as denoiser, tempfile.TemporaryDirectory() as folder:
        measure(denoiser, Path(folder), options.frames, options.rounds, note)
    return note.exit_code()


def measure(denoiser: Denoiser, folder: Path, count: int, rounds: int, note: Judged) -> None:
    """All of it, in turns."""
    with SyntheticCamera(SyntheticOptions(size=(640, 480), rendered=16, frames=32)) as camera:
        noisy = [frame.image.copy() for frame in camera]
    clean = [denoiser.denoise(image).copy() for image in noisy]
    alone: list[float] = []
    beside: list[float] = []
    shares: list[float] = []
    costs: dict[str, list[float]] = {each: [] for each in SINKS}
    for number in range(rounds + 1):
        once = {name: cost(name.format(folder=folder / str(number)), clean, count) for name in SINKS}
        between = statistics.median(network(denoiser, noisy, count, lambda _: None))
        with Recording(folder / f"beside{number}") as recording:
            busy = statistics.median(network(denoiser, noisy, count, recording.put))
        if number:  # the first round warms up
            alone.append(between)
            beside.append(busy)
            shares.append(recording.share)
            for name, value in once.items():
                costs[name].append(value)
    time_of = statistics.median(alone)
    note("network ms", time_of)
    for name, values in costs.items():
        short = name.split(":")[0].rpartition("/")[2]
        note(f"{short} ms", statistics.median(values))
        share = statistics.median(cost / frame for cost, frame in zip(values, alone, strict=True))
        note(f"{short} by network", share, share <= SHARE if short == "record" else None)
    note("network while recording ms", statistics.median(beside))
    slowed = statistics.median(after / before for after, before in zip(beside, alone, strict=True))
    note("slowed", slowed, slowed < SLOWED)
    note("recorded", statistics.median(shares))


def cost(target: str, pictures: list[Image], count: int) -> float:
    """Milliseconds of processor time of a frame in the sink, all of its threads together."""
    Path(target.removeprefix("record:")).parent.mkdir(parents=True, exist_ok=True)
    with open_sink(target, FPS, live=True) as sink:
        write(sink, pictures[:5], 0)
        start = time.process_time()
        for index, picture in zip(range(5, 5 + count), itertools.cycle(pictures), strict=False):
            write(sink, [picture], index)
        return 1000 * (time.process_time() - start) / count


def write(sink: Sink, pictures: list[Image], first: int) -> None:
    for index, picture in enumerate(pictures, first):
        sink.write(Frame(picture, index / FPS, index), picture)


def network(denoiser: Denoiser, noisy: list[Image], count: int, put: Callable[[Image], object]) -> list[float]:
    """Milliseconds of each frame in the network; each is handed on."""
    taken = []
    for image in itertools.islice(itertools.cycle(noisy), count):
        out = np.empty_like(image)
        start = time.perf_counter()
        denoiser.denoise(image, out)
        taken.append(1000 * (time.perf_counter() - start))
        put(out)
    return taken


class Recording:
    """Records what it is given as a run does: a sink in a thread of its own, which loses frames that come too fast."""

    def __init__(self, folder: Path) -> None:
        sink = open_sink(f"record:{folder}", FPS, live=True)
        self._thread = SinkThread(sink, True, True, time.monotonic, dict, opens=True)
        self._put = 0

    @property
    def share(self) -> float:
        """Of the frames that were put, those that the sink took."""
        return self._thread.sink.frames / max(1, self._put)

    def put(self, picture: Image) -> None:
        """Hand a frame on."""
        frame = Frame(picture, time.monotonic(), self._put)
        self._thread.put(Slot(frame, picture, False, 0.0, 0.0, 1, lambda *_: None))
        self._put += 1

    def __enter__(self) -> Recording:
        self._thread.start()
        while self._thread.awaited:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close(keep=True)
        self._thread.thread.join()


if __name__ == "__main__":
    sys.exit(main())
