"""Changes the tempo of a finished clip, which was written at one rate and must be shown at another."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Literal

__all__ = ["set_tempo"]


def set_tempo(path: Path, slower: float) -> None:
    """Make the clip at ``path`` last ``slower`` times as long by changing its header: no picture is written again.

    Args:
        path: a .webm, .mp4 or .avi that FFmpeg wrote. A clip without these fields stays unchanged.
        slower: above 0; for a .webm at most 16.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        _CONTAINERS[path.suffix.lower()](content, slower)


def _webm(content: mmap.mmap, slower: float) -> None:
    """Nanoseconds a tick and a frame: the name of the element, a byte with its length, a big-endian number."""
    for name in (b"\x2a\xd7\xb1", b"\x23\xe3\x83"):  # TimestampScale, DefaultDuration
        place = content.find(name, 0, 4096)
        if place >= 0:
            _change(content, place + 4, content[place + 3] & 0x0F, "big", slower)


def _mp4(content: mmap.mmap, slower: float) -> None:
    """Ticks a second of the film and of its track: the field after name, version, flags and two dates."""
    for name in (b"mvhd\0", b"mdhd\0"):  # the 0 is the version with fields of 4 bytes
        place = content.rfind(name)
        if place >= 0:
            _change(content, place + 16, 4, "big", 1 / slower)


def _avi(content: mmap.mmap, slower: float) -> None:
    """Microseconds a frame in the main header; seconds a frame, as a fraction, in the header of the stream."""
    main, stream = content.find(b"avih", 0, 4096), content.find(b"strh", 0, 4096)
    if main >= 0 and stream >= 0:
        _change(content, main + 8, 4, "little", slower)
        _change(content, stream + 28, 4, "little", 1000 * slower)
        _change(content, stream + 32, 4, "little", 1000)


def _change(content: mmap.mmap, place: int, size: int, order: Literal["big", "little"], factor: float) -> None:
    """Multiply the number of ``size`` bytes at ``place``, up to the largest number that fits there."""
    value = int.from_bytes(content[place : place + size], order)
    value = min(max(1, round(value * factor)), (1 << 8 * size) - 1)
    content[place : place + size] = value.to_bytes(size, order)


_CONTAINERS: dict[str, Callable[[mmap.mmap, float], None]] = {".webm": _webm, ".mp4": _mp4, ".avi": _avi}
