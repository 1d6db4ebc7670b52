"""Entries of a store: their names and their sizes on the disk."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "HIGH",
    "Entry",
    "allocated",
    "entry_name",
    "is_entry",
    "is_leftover",
    "number_of",
    "temporary_name",
]

HIGH = 8_000_000_000
"""No store counts this far by itself: entries with this number or a higher one get new numbers."""

_BLOCK = 4096  # bytes: the size of a file on the disk is a multiple of this
_NAME = re.compile(r"[0-9]{10}_[0-9TZ.-]+(_[a-z]+)?(\.[a-z]+)?")
_LEFTOVER = re.compile(r"\.new-[0-9a-f]{8}")
_END = 9_000_000_000  # a name with a higher number is not an entry: a name has ten digits


class Entry(NamedTuple):
    """Files that were stored together, and the bytes that they take."""

    name: str
    size: int


def allocated(sizes: Mapping[str, int]) -> int:
    """Bytes on the disk that files of these ``sizes`` take, with a folder around them if there are several."""
    blocks = sum(-(-size // _BLOCK) for size in sizes.values())
    return (blocks + (len(sizes) > 1)) * _BLOCK


def entry_name(number: int, seconds: float, end: str) -> str:
    """``0000000042_2026-05-17T08-30-00.250Z.jpg``: UTC, in characters that every file system accepts.

    Args:
        seconds: unix time.
        end: ``.jpg``; empty for a folder.
    """
    millis = max(0, min(int(seconds * 1000), 253402300799999))
    return f"{number:010d}_{time.strftime('%Y-%m-%dT%H-%M-%S', time.gmtime(millis // 1000))}.{millis % 1000:03d}Z{end}"


def temporary_name() -> str:
    """A name for an entry while it is written or removed: see ``is_leftover``."""
    return f".new-{secrets.token_hex(4)}"


def is_entry(name: str) -> bool:
    """Whether ``name`` may be the name of an entry."""
    return _NAME.fullmatch(name) is not None and number_of(name) < _END


def is_leftover(name: str) -> bool:
    """Whether ``temporary_name`` made it."""
    return _LEFTOVER.fullmatch(name) is not None


def number_of(name: str) -> int:
    """The number that an entry's name begins with."""
    return int(name[:10])
