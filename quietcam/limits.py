"""Limits for all input from outside: pixels, bytes, numbers."""

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
"""Most pixels of a picture in a file: some phones take pictures of this size."""

MOST_SIDE = 65_535
"""Longest side of a picture in pixels: the limit of JPEG."""

MOST_FRAME_PIXELS = 40_000_000
"""Most pixels of a frame of a camera or a video, of which several are in memory at once: 8K has 33 million."""

MOST_CODED = 1 << 30
"""Largest size of a picture's file, in bytes."""

MOST_FRAME_CODED = 16 << 20
"""Largest size of an encoded frame from a network camera, in bytes."""

MOST_SEED = 2**32 - 1
"""Largest seed that every random number generator takes."""

MOST_COUNT = 10**9
"""Most frames, pictures or steps: more than a year of them."""

MOST_THREADS = 256
"""Most threads of one process."""


def limit_opencv() -> None:
    """Make OpenCV refuse larger pictures, too, unless the user has set its limits.

    OpenCV reads these environment variables once, when it is imported.
    """
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_WIDTH", str(MOST_SIDE))
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_HEIGHT", str(MOST_SIDE))


def read_whole(value: Any, least: int, most: int) -> int:
    """``value`` as a whole number from ``least`` to ``most``, both included.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, (float, bool)):  # from a configuration
        raise ValueError
    found = int(value)
    if not least <= found <= most:
        raise ValueError
    return found


def read_number(value: Any, least: float, most: float) -> float:
    """``value`` as a number from ``least`` to ``most``, both included.

    Raises:
        ValueError: it is none, or NaN.
    """
    found = float(value)
    if not least <= found <= most or math.isnan(found):
        raise ValueError
    return found
