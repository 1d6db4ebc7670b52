"""What the tests of H.264 share: moving pictures to write, and a reader of what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.sinks.base import Sink
from quietcam.image import Image
from quietcam.sensor.scenes import generate_scene

av = pytest.importorskip("av", reason="needs the extra 'video'")


def scene(count: int, height: int = 48, width: int = 64) -> list[Image]:
    """Pictures of a scene that moves by two pixels a frame."""
    wide = generate_scene(height, width + 2 * count, seed=1)
    return [np.ascontiguousarray(wide[:, 2 * i : 2 * i + width]) for i in range(count)]


def write(sink: Sink, pictures: list[Image], times: list[float] | None = None) -> None:
    """Write pictures to an open sink, at ``times`` or 25 a second."""
    for index, picture in enumerate(pictures):
        seconds = index / 25 if times is None else times[index]
        sink.write(Frame(255 - picture, seconds, index), picture)


def read(path: Path) -> tuple[list[float], list[Image]]:
    """The times and the pictures of a video, as far as it can be played."""
    times, pictures = [], []
    with av.open(str(path)) as container:
        try:
            for frame in container.decode(video=0):
                times.append(float(frame.pts * frame.time_base))
                pictures.append(frame.to_ndarray(format="rgb24"))
        except av.InvalidDataError:  # its last frame is a part of one
            pass
    return times, pictures


def length(path: Path) -> float:
    """Seconds that a video lasts, by its container."""
    with av.open(str(path)) as container:
        return float(container.duration) / 1e6


def the_file(folder: Path) -> Path:
    """The only file in ``folder``, hidden or not."""
    [file] = folder.iterdir()
    return file
