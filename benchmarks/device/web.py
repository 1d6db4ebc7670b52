"""Measures the time that viewers of the page take, and the age of a frame when a viewer has it.

    python -m benchmarks.device.web [--frames 300] [--rounds 5] [--model demo_640x480_int8] [--csv FILE]

The synthetic camera gives 640x480 at 30 frames a second to the network on one thread; viewers are another process. In
turns, several rounds of each:

- none: the page is served and nobody watches
- encode: nobody watches, and every frame is encoded once in a separate thread, the least that viewers need
- 1, 4 viewers: they read everything
- stuck: 4 viewers that never read

"denoise_ms" is the median time in the network, "to_none" and "to_encode" its ratio to theirs in the same round (median
of the rounds), "fps" the frames a second, "latency" from the sensor's timestamp until a viewer had the last byte of the
frame (ms), "delivered" the share of frames that each viewer got.

Limits (exit code 3 if one is not kept): 4 viewers at most 1.10 of encode; stuck at most 1.05 of none; the median
latency below two frame times and the median time in the network.
"""

from __future__ import annotations

import argparse
import datetime
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import RESULTS, ROOT, append, commit, machine
from edge.cameras import open_camera
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.sinks import Sink
from edge.sinks.null import NullSink
from edge.sinks.web import WebOptions, WebSink
from edge.web.controls import RunControls
from edge.web.encoding import Encoder, Key
from quietcam.image import Image

FPS = 30
KINDS = ("none", "encode", "1 viewer", "4 viewers", "stuck")
FOUR_TO_ENCODE, STUCK_TO_NONE, FRAME_TIMES = 1.10, 1.05, 2


def main() -> int:
    """Measure, print, append to the file, and compare with the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300, help="frames of each kind in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="demo_640x480_int8")
    parser.add_argument("--csv", type=Path, default=RESULTS / "web.csv")
    parser.add_argument("--watch", nargs=3, metavar=("PORT", "VIEWERS", "READ"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        port, viewers, read = map(int, options.watch)
        return watch(port, viewers, bool(read))
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        rounds.append({kind: measure(kind, options.model, options.frames) for kind in KINDS})
    about = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit(), "machine": machine()}
    rows = {kind: summary(kind, rounds) for kind in KINDS}
    for row in rows.values():
        print("  ".join(f"{name} {value}" for name, value in row.items()))
        append(options.csv, about | {"model": options.model, "frames": options.frames} | row)
    return judge(rows)


class EncodeSink(Sink):
    """Encodes every frame once, as the page would, and drops it."""

    name = "encode"

    def __init__(self) -> None:
        self._encoder = Encoder(WebOptions().quality)

    def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
        self._encoder.encode(Key("denoised", "jpeg"), None, denoised)


class Timed(WebSink):
    """The page; notes when the sensor took each frame."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.taken: dict[int, float] = {}

    def write(self, frame: Frame, denoised: Image) -> None:
        self.taken[frame.index] = frame.timestamp
        super().write(frame, denoised)


def measure(kind: str, model: str, frames: int) -> dict[str, Any]:
    """One run of one kind."""
    viewers = {"1 viewer": 1, "4 viewers": 4, "stuck": 4}.get(kind, 0)
    with ExitStack() as stack:
        camera = stack.enter_context(open_camera(f"synthetic:size=640x480,fps={FPS},gain=8"))
        denoiser = stack.enter_context(Denoiser(resolve_model(model), 1, gate=True, stream=True))
        page = Timed(WebOptions(port=0), RunControls(denoiser, lambda: camera.name))
        sinks: list[Sink] = [page, EncodeSink() if kind == "encode" else NullSink()]
        for sink in sinks:
            stack.enter_context(sink)
        pipeline = Pipeline(camera, denoiser, sinks)
        process = None
        if viewers:
            port = page.address.rsplit(":", 1)[1].rstrip("/")
            words = [sys.executable, "-m", "benchmarks.device.web"]
            words += ["--watch", port, str(viewers), str(int(kind != "stuck"))]
            process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            while page.report()["viewers"] < viewers:
                time.sleep(0.01)
        health = pipeline.run(frames)
    report = health.report()
    result = {
        "denoise_ms": report["latency_ms"]["denoise"]["p50"],
        "fps": report["fps"],
        "latency": [],
        "delivered": None,
    }
    if process is not None:
        arrivals = [json.loads(line) for line in process.communicate()[0].splitlines()]
        result["latency"] = [1000 * (at - page.taken[int(index)]) for each in arrivals for index, at in each.items()]
        if kind != "stuck":
            result["delivered"] = sum(map(len, arrivals)) / (viewers * report["frames"])
    return result


def watch(port: int, viewers: int, read: bool) -> int:
    """The other process: prints, for each viewer, the time of each frame."""
    arrivals: list[dict[int, float]] = [{} for _ in range(viewers)]
    threads = [threading.Thread(target=view, args=(port, read, found)) for found in arrivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in arrivals:
        print(json.dumps(found))
    return 0


def view(port: int, read: bool, found: dict[int, float]) -> None:
    """Watch until the server ends."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /stream.mjpg HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        if not read:
            connection.settimeout(1)
            while True:  # never read: only check whether the server keeps the connection
                time.sleep(0.5)
                try:
                    connection.sendall(b"\r\n")
                except OSError:
                    return
        file = connection.makefile("rb")
        head: dict[bytes, bytes] = {}
        try:
            for line in file:
                name, colon, value = line.strip().lower().partition(b":")
                if colon:
                    head[name] = value.strip()
                elif not name and b"x-frame" in head:
                    file.read(int(head[b"content-length"]))
                    found[int(head.pop(b"x-frame"))] = time.monotonic()
        except OSError:
            return


def summary(kind: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """One row: medians over the rounds."""
    mine = [each[kind] for each in rounds]
    latency = [value for each in mine for value in each["latency"]]
    delivered = [each["delivered"] for each in mine if each["delivered"] is not None]
    return {
        "kind": kind,
        "denoise_ms": round(statistics.median(each["denoise_ms"] for each in mine), 3),
        "to_none": round(
            statistics.median(each[kind]["denoise_ms"] / each["none"]["denoise_ms"] for each in rounds), 3
        ),
        "to_encode": round(
            statistics.median(each[kind]["denoise_ms"] / each["encode"]["denoise_ms"] for each in rounds), 3
        ),
        "fps": round(statistics.median(each["fps"] for each in mine), 2),
        "latency_p50": round(float(np.percentile(latency, 50)), 1) if latency and kind != "stuck" else None,
        "latency_p95": round(float(np.percentile(latency, 95)), 1) if latency and kind != "stuck" else None,
        "delivered": round(statistics.median(delivered), 3) if delivered else None,
    }


def judge(rows: dict[str, dict[str, Any]]) -> int:
    """Check the limits."""
    bound = FRAME_TIMES * 1000 / FPS + rows["4 viewers"]["denoise_ms"]
    checks = {
        f"4 viewers at most {FOUR_TO_ENCODE} of encode": rows["4 viewers"]["to_encode"] <= FOUR_TO_ENCODE,
        f"stuck at most {STUCK_TO_NONE} of none": rows["stuck"]["to_none"] <= STUCK_TO_NONE,
        f"latency below {bound:.0f} ms": (rows["4 viewers"]["latency_p50"] or bound) < bound,
    }
    for text, held in checks.items():
        print(f"{'held' if held else 'NOT HELD'}: {text}")
    return 0 if all(checks.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
