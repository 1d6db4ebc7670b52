"""Videos as phones, cameras and browsers write them, made with ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

PATCHES = np.array([[(200, 40, 40), (40, 200, 40)], [(40, 40, 200), (128, 128, 128)]], np.uint8)
VARIABLE = [number / 25 for number in range(25)] + [1 + number / 5 for number in range(25)]
"""When the frames of the clip of a variable rate are shown, seconds."""


def still() -> np.ndarray:
    """Four colors, 96 pixels wide and 64 high."""
    return np.repeat(np.repeat(PATCHES, 32, axis=0), 48, axis=1)


def ffmpeg(*words: str, content: bytes = b"") -> bytes:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg: apt-get install ffmpeg")
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *words]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def encode(path: Path, *words: str, frames: int = 5) -> Path:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "96x64", "-r", "25", "-i", "pipe:0"]
    ffmpeg(*raw, *words, str(path), content=still().tobytes() * frames)
    return path


def variable(path: Path, *words: str) -> Path:
    """50 frames over six seconds: 25 a second, then 5 a second."""
    times = "setpts='if(lt(N,25),N/25,1+(N-25)/5)/TB'"
    source = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-vf", times, "-vsync", "vfr"]
    ffmpeg(*source, *words, str(path))
    return path


VP8 = ("-c:v", "libvpx", "-b:v", "1M")


def as_ffmpeg_shows(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The first frame as ffmpeg converts and turns it itself: int, of ``shape``."""
    shown = ffmpeg("-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1")
    return np.frombuffer(shown, np.uint8).reshape(shape).astype(int)
