"""The options that several cameras share, each with its range."""

from __future__ import annotations

from quietcam.limits import MOST_COUNT, MOST_FRAME_PIXELS, read_number, read_whole
from quietcam.terminal.key_values import Key, whole_key

__all__ = ["COUNT", "RATE", "RATE_OR_MAX", "SIZE", "SIZE_MEANS", "read_size"]

_LARGEST_SIDE = 8192
_LEAST_RATE, _MOST_RATE = 0.001, 1000

SIZE_MEANS = f"WIDTHxHEIGHT, each 16 to {_LARGEST_SIDE}, and at most {MOST_FRAME_PIXELS // 10**6} million pixels"


def read_size(text: str) -> tuple[int, int]:
    """``640x480`` as ``(width, height)`` in pixels.

    Raises:
        ValueError: it is not what ``SIZE_MEANS`` says.
    """
    width, height = (read_whole(part, 16, _LARGEST_SIDE) for part in text.lower().split("x"))
    if width * height > MOST_FRAME_PIXELS:
        raise ValueError
    return width, height


def _read_rate(text: str) -> float:
    return read_number(text, _LEAST_RATE, _MOST_RATE)


SIZE = Key(read_size, SIZE_MEANS)
"""``(width, height)`` in pixels."""

RATE = Key(_read_rate, f"frames a second, {_LEAST_RATE} to {_MOST_RATE}")
"""Frames a second."""

RATE_OR_MAX = Key(lambda text: None if text == "max" else _read_rate(text), f"{RATE.means}, or max")
"""Frames a second; None for ``max``, as fast as frames are asked for."""

COUNT = whole_key(1, MOST_COUNT, "a whole number of at least 1")
"""How many."""
