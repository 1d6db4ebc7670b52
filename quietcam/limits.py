"""How large what comes from outside may be: pictures, frames, coded bytes, numbers. One place for every door."""

from __future__ import annotations

import math
import os
from typing import Any

__all__ = [
    "MOST_CODED",
    "MOST_COUNT",
    "MOST_FRAME_CODED",
    "MOST_FRAME_PIXELS",
    "MOST_PIXELS",
    "MOST_SEED",
    "MOST_SIDE",
    "MOST_THREADS",
    "limit_opencv",
    "read_number",
    "read_whole",
]

MOST_PIXELS = 200_000_000
"""Of a picture in a file: phones take such."""

MOST_SIDE = 65_535
"""Pixels of a picture's side: JPEG's own limit."""

MOST_FRAME_PIXELS = 40_000_000
"""Of a frame of a camera or a video, of which several are in memory at once: 8K has 33 million."""

MOST_CODED = 1 << 30
"""Bytes of a picture's file."""

MOST_FRAME_CODED = 16 << 20
"""Bytes of a coded frame that comes through a network."""

MOST_SEED = 2**32 - 1
"""What every generator of random numbers takes."""

MOST_COUNT = 10**9
"""Of frames, pictures, steps: more than a year of them."""

MOST_THREADS = 256


def limit_opencv() -> None:
    """Have OpenCV refuse larger pictures by itself, too. It reads this once, when it is imported; a user's own wins."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_WIDTH", str(MOST_SIDE))
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_HEIGHT", str(MOST_SIDE))


def read_whole(value: Any, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``; otherwise ValueError."""
    if isinstance(value, (float, bool)):  # of a configuration
        raise ValueError
    found = int(value)
    if not least <= found <= most:
        raise ValueError
    return found


def read_number(value: Any, least: float, most: float) -> float:
    """A number from ``least`` to ``most``; otherwise ValueError, as for NaN."""
    found = float(value)
    if not least <= found <= most or math.isnan(found):
        raise ValueError
    return found
