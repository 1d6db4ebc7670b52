"""Measures the do-no-harm gate on streams: with and without noise, raw, MJPEG and H.264, moving and still.

    python -m benchmarks.network.harm_video [--data ../shared/data] [--model small_640x480_int8] [--before HARM.PY]

Scenes are real clips, pictures that stand still or are panned, and generated ones; missing ones are skipped. They are
put behind a simulated imx219 at a gain of 8 and 24, or left clean, and go through ffmpeg (libx264, veryfast, no
B-frames, a key frame every 50, constant bit rate at 25 frames a second; MJPEG by its quality scale), which must be
installed (`apt install ffmpeg`). PSNR in dB against the clean frames, at most 80, means from frame 16 of 32 on: "noisy"
is the stream as it comes, "off" all of the network, "on" with the gate, and "before" with the gate of another
harm.py (edge/network/gate). "kept" compares the gate's output with the stream as it comes. "share" is the mean share of
the network, "ran" that of the frames for which it ran, "step" the largest change of the share between two frames.
Each stream is appended to the CSV as soon as it is measured. Exit code 3 when the gate lets a clean stream change to
less than 45 dB of itself and lose 0.1 dB, or takes more than 0.3 dB and more than a third of what the network brings to
a noisy one.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.network.harm import decibels
from benchmarks.records import DATA, RESULTS, commit, machine
from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.network.gate.harm import HarmGate, blend
from quietcam.data.pictures.files import read_picture
from quietcam.image import Image
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import SensorCamera, sensor
from quietcam.sensor.scenes import generate_scene

FRAMES, SETTLED = 32, 16
WIDTH, HEIGHT = 640, 480
CLIPS = (("bottle-detection", 8), ("car-detection", 3), ("one-by-one-person-detection", 20))  # file, second
PICTURES = (
    ("clean/kodak24/kodim20.png", (0, 0)),
    ("clean/machine_camera/train_50_1_GT.png", (4, 2)),
)  # file, pixels that it moves by in a frame
GAINS = (0, 8, 24)
WAYS = ("raw", "mjpeg 5", "mjpeg 10", "h264 1M", "h264 2M", "h264 3M", "h264 5M", "h264 8M")
CAMERA = Isp(
    matrix=((1.5, -0.35, -0.15), (-0.1, 1.25, -0.15), (0.0, -0.4, 1.4)), exposure=0.8, demosaic="malvar"
)  # rows that sum to 1, as cameras have them
COLUMNS = ("noisy", "off", "before", "on", "kept", "share", "ran", "step")


def main() -> int:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="small_640x480_int8")
    parser.add_argument("--before", type=Path, help="another edge/network/gate/harm.py, to compare with")
    parser.add_argument("--csv", type=Path, default=RESULTS / "gate_video.csv")
    options = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        print("no ffmpeg here: apt install ffmpeg", file=sys.stderr)
        return 1
    before = gate_of(options.before) if options.before else None
    told = (
        datetime.date.today().isoformat(),
        commit(),
        machine(),
        shlex.join(["python", "-m", "benchmarks.network.harm_video", *sys.argv[1:]]),
    )
    missed = []
    with (
        options.csv.open("a", newline="", encoding="utf-8") as file,
        Denoiser(resolve_model(options.model), 2) as denoiser,
    ):
        writer = csv.writer(file, lineterminator="\n")
        if not file.tell():
            writer.writerow(("date", "commit", "machine", "command", "model", "scene", "gain", "way", *COLUMNS))
        print(f"{'scene':28}{'gain':>5} {'way':9}" + "".join(f"{column:>8}" for column in COLUMNS))
        for name, scenes in sources(options.data):
            for gain in GAINS:
                noisy, clean = exposed(scenes, gain)
                for way in WAYS:
                    values = measure(denoiser, sent(noisy, way), clean, before)
                    numbers = [f"{values[column]:.3f}" if column in values else "" for column in COLUMNS]
                    print(f"{name:28}{gain:5} {way:9}" + "".join(f"{number:>8}" for number in numbers), flush=True)
                    writer.writerow((*told, denoiser.model.name, name, gain, way, *numbers))
                    file.flush()  # a run takes an hour; its results must not be lost if it is stopped
                    if not holds(values, gain):
                        missed.append(f"{name}, gain {gain}, {way}")
    print("did not hold: " + "; ".join(missed) if missed else "all holds")
    return 3 if missed else 0


def sources(data: Path) -> Iterator[tuple[str, list[Image]]]:
    """Name and frames, of even sides."""
    for stem, second in CLIPS:
        path = data / "video" / f"{stem}.mp4"
        if path.exists():
            words = ["-ss", str(second), "-i", str(path), "-frames:v", str(FRAMES), "-vf", "scale=640:360:flags=area"]
            yield stem, pictures(ffmpeg([*words, "-fps_mode", "passthrough"]), 360, 640)
        else:
            print(f"skipped: no {path}")
    for name, step in PICTURES:
        if (data / name).exists():
            yield f"{Path(name).stem} {'panned' if any(step) else 'still'}", panned(read_picture(data / name), step)
        else:
            print(f"skipped: no {data / name}")
    yield "generated panned", panned(generate_scene(600, 800, 1), (3, 1))


def panned(picture: Image, step: tuple[int, int]) -> list[Image]:
    """Views of a picture, each ``step`` further to the right and down."""
    room = [side - FRAMES * by for side, by in zip(picture.shape[1::-1], step, strict=True)]
    width, height = min(WIDTH, room[0]) // 2 * 2, min(HEIGHT, room[1]) // 2 * 2
    if not any(step):
        return [picture[:height, :width].copy()] * FRAMES
    corners = [(i * step[0], i * step[1]) for i in range(FRAMES)]
    return [picture[y : y + height, x : x + width].copy() for x, y in corners]


def exposed(scenes: list[Image], gain: int) -> tuple[list[Image], list[Image]]:
    """Noisy and clean frames; the scenes themselves for a gain of 0."""
    if gain == 0:
        return scenes, scenes
    camera, rng = SensorCamera(sensor("imx219", gain), CAMERA), np.random.default_rng(0)
    return [camera.expose(scene, rng) for scene in scenes], [camera.clean(scene) for scene in scenes]


def sent(frames: list[Image], way: str) -> list[Image]:
    """Frames after a codec."""
    if way == "raw":
        return frames
    codec, quality = way.split()
    height, width = frames[0].shape[:2]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    if codec == "mjpeg":
        coded = ["-c:v", "mjpeg", "-q:v", quality, "-pix_fmt", "yuvj420p"]
    else:
        rate = ["-b:v", quality, "-maxrate", quality, "-bufsize", quality]
        coded = [
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-threads",
            "1",
            "-bf",
            "0",
            "-g",
            "50",
            *rate,
            "-pix_fmt",
            "yuv420p",
        ]
    film = ffmpeg([*source, *coded], b"".join(frame.tobytes() for frame in frames), into=["-f", "matroska"])
    return pictures(ffmpeg(["-i", "-"], film), height, width)


def ffmpeg(words: list[str], data: bytes = b"", into: list[str] | None = None) -> bytes:
    """The output of ffmpeg: raw RGB by default."""
    into = into or ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    return subprocess.run(
        ["ffmpeg", "-v", "error", *words, *into, "-"], input=data, capture_output=True, check=True
    ).stdout


def pictures(raw: bytes, height: int, width: int) -> list[Image]:
    """Raw RGB as frames."""
    return list(np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3))


def gate_of(path: Path) -> Callable[..., Any]:
    """The class HarmGate of another file."""
    spec = importlib.util.spec_from_file_location("gate_before", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gate: Callable[..., Any] = module.HarmGate
    return gate


def measure(
    denoiser: Denoiser, noisy: list[Image], clean: list[Image], before: Callable[..., Any] | None
) -> dict[str, float]:
    """All figures of one stream."""
    gates: dict[str, Any] = {"on": HarmGate(stream=True)} | ({"before": before(stream=True)} if before else {})
    sums: dict[str, list[float]] = {}
    shares: list[float] = []
    for number, (frame, truth) in enumerate(zip(noisy, clean, strict=True)):
        denoised = denoiser.denoise(frame)
        figures = {"noisy": decibels(frame, truth), "off": decibels(denoised, truth)}
        for name, gate in gates.items():
            ran = gate.look(frame)
            share = gate.weigh(frame, denoised) if ran else 0.0
            shown = denoised.copy()
            blend(frame, shown, share)
            figures[name] = decibels(shown, truth)
            if name == "on":
                figures |= {"kept": decibels(shown, frame), "share": share, "ran": float(ran)}
                shares.append(share)
        if number >= SETTLED:
            for key, value in figures.items():
                sums.setdefault(key, []).append(value)
    steps = np.abs(np.diff(shares[SETTLED:]))
    return {key: float(np.mean(values)) for key, values in sums.items()} | {"step": float(steps.max())}


def holds(values: dict[str, float], gain: int) -> bool:
    """Did the gate neither harm a clean stream nor cancel the network on a noisy one?"""
    if gain == 0:
        return values["kept"] >= 45 or values["on"] >= values["noisy"] - 0.1
    brought, taken = values["off"] - values["noisy"], values["off"] - values["on"]
    return taken <= max(0.3, brought / 3)


if __name__ == "__main__":
    sys.exit(main())
