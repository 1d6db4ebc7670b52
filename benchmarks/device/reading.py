"""What reading a video costs: PyAV against OpenCV, frame by frame in turns, in one run.

    python -m benchmarks.device.reading [--size 640x480] [--frames 150] [--rounds 5] [--csv FILE]

Clips of moving pictures are made with PyAV: H.264 of 8 and 10 bits, MJPEG and VP8. Both
readers decode each clip, convert it to RGB and hand out every frame. Printed, and written with --csv: processor time
per frame in ms (all threads), and the ratio of PyAV's to OpenCV's: the median over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import RESULTS, append, commit, machine
from edge.cameras.options import read_size
from quietcam.data.video import Video
from quietcam.data.video.opencv import OpencvVideo
from quietcam.data.video.pyav import AvVideo
from quietcam.extras import load_av

CLIPS: dict[str, tuple[str, str, str]] = {
    "H.264": ("libx264", "yuv420p", "mp4"),
    "H.264, 10 bits": ("libx264", "yuv420p10le", "mp4"),
    "MJPEG": ("mjpeg", "yuvj420p", "avi"),
    "VP8": ("libvpx", "yuv420p", "webm"),
}
"""Codec, pixels and suffix."""


def made(path: Path, codec: str, pixels: str, size: tuple[int, int], frames: int) -> Path:
    """A clip of a picture with some grain that moves by three pixels a frame."""
    av = load_av()
    rng = np.random.default_rng(0)
    width, height = size
    wide = rng.integers(0, 256, (height // 16 + 1, (width + 3 * frames) // 16 + 1, 3), np.uint8)
    wide = np.repeat(np.repeat(wide, 16, axis=0), 16, axis=1)
    wide = (wide.astype(np.int16) * 3 // 4 + rng.integers(0, 24, wide.shape)).clip(0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.time_base = Fraction(1, 25)
        for index in range(frames):
            picture = np.ascontiguousarray(wide[:height, 3 * index : 3 * index + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode())
    return path


def cost(reader: Callable[[Path], Video], path: Path) -> float:
    """Processor time of one frame, ms."""
    with reader(path) as video:
        began, frames = time.process_time(), 0
        while video.read() is not None:
            frames += 1
        return 1000 * (time.process_time() - began) / frames


def measured(path: Path, rounds: int) -> dict[str, Any]:
    pairs = [(cost(AvVideo, path), cost(OpencvVideo, path)) for _ in range(rounds)]
    av, cv2 = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(first / second for first, second in pairs)
    return {"PyAV ms": round(av, 2), "OpenCV ms": round(cv2, 2), "ratio": round(ratio, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=RESULTS / "reading.csv")
    args = parser.parse_args()
    about = {"commit": commit(), "machine": machine(), "size": args.size}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (codec, pixels, suffix)) in enumerate(CLIPS.items()):
            clip = made(Path(folder) / f"{number}.{suffix}", codec, pixels, read_size(args.size), args.frames)
            row = measured(clip, args.rounds)
            print(f"{name}: PyAV {row['PyAV ms']} ms, OpenCV {row['OpenCV ms']} ms, ratio {row['ratio']}", flush=True)
            append(args.csv, {**about, "clip": name, **row})


if __name__ == "__main__":
    main()
