"""Reads TIFF directories, in TIFF files and in the Exif data of other formats."""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["Directory", "exif_orientation", "is_adobe_rgb", "read_directories", "upright"]

ORIENTATION = 0x0112
_EXIF, _INTEROP, _COLOR_SPACE = 0x8769, 0xA005, 0xA001
_MOST_DIRECTORIES = 64
_MOST_ENTRIES = 4096
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Directory:
    """One directory: its entries by tag.

    Attributes:
        data: the bytes that all offsets refer to.
        order: "<" or ">".
        entries: tag: (type, count, offset of the value).
    """

    data: bytes | memoryview
    order: str
    entries: dict[int, tuple[int, int, int]]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The whole numbers of a tag; empty if the tag is missing, has another type, or lies outside the file."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        letter = _WHOLE.get(kind)
        if letter is None or at + count * _SIZES[kind] > len(self.data):
            return ()
        return struct.unpack_from(f"{self.order}{count}{letter}", self.data, at)

    def number(self, tag: int, default: int) -> int:
        """The first number of a tag, or ``default``."""
        return next(iter(self.numbers(tag)), default)

    def content(self, tag: int) -> bytes:
        """The bytes of a tag of any type; empty if they lie outside the file."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        length = count * _SIZES.get(kind, 1)
        return bytes(self.data[at : at + length]) if at + length <= len(self.data) else b""


def read_directories(data: bytes | memoryview) -> list[Directory]:
    """The chain of directories of a TIFF or BigTIFF file, or of Exif data (TIFF 6.0, section 2).

    Raises:
        ValueError: there is no directory, or the chain leaves the data or forms a circle.
    """
    order, big, at = _start(data)
    found: list[Directory] = []
    seen: set[int] = set()
    while at:
        if at in seen or len(found) == _MOST_DIRECTORIES:
            raise ValueError("its directories form a circle")
        seen.add(at)
        directory, at = _read_one(data, order, at, big=big)
        found.append(directory)
    if not found:
        raise ValueError("it holds no picture")
    return found


def _start(data: bytes | memoryview) -> tuple[str, bool, int]:
    """Byte order, whether it is BigTIFF, and the offset of the first directory."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
    if not order or len(data) < 8:
        raise ValueError("no TIFF header")
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    if big and len(data) < 16:
        raise ValueError("it is cut short")
    return order, big, struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)[0]


def _first(exif: bytes) -> Directory:
    # The second directory, for the thumbnail, is often damaged by programs that changed the picture.
    order, big, at = _start(exif)
    return _read_one(exif, order, at, big=big)[0]


def _read_one(data: bytes | memoryview, order: str, at: int, *, big: bool) -> tuple[Directory, int]:
    head, each, inline = (8, 20, 8) if big else (2, 12, 4)
    word = "Q" if big else "I"
    if at + head > len(data):
        raise ValueError("it is cut short")
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
    end = at + head + each * count
    if count > _MOST_ENTRIES or end + inline > len(data):
        raise ValueError("it is cut short")
    entries: dict[int, tuple[int, int, int]] = {}
    for place in range(at + head, end, each):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", data, place)
        value = place + each - inline
        if number * _SIZES.get(kind, 1) > inline:
            (value,) = struct.unpack_from(f"{order}{word}", data, value)
        entries.setdefault(tag, (kind, number, value))
    return Directory(data, order, entries), struct.unpack_from(f"{order}{word}", data, end)[0]


def exif_orientation(exif: bytes) -> int:
    """The orientation in Exif data, 1 to 8; 1 if it is missing or damaged."""
    try:
        first = _first(exif)
    except ValueError:
        return 1
    return upright(first.number(ORIENTATION, 1))


def upright(orientation: int) -> int:
    """``orientation`` if it is valid; else 1, which means "as stored"."""
    return orientation if 1 <= orientation <= 8 else 1


def is_adobe_rgb(exif: bytes) -> bool:
    """Whether Exif data states Adobe RGB as cameras do: "uncalibrated", with the interoperability index R03."""
    try:
        first = _first(exif)
        inner = _read_one(exif, first.order, first.number(_EXIF, 0), big=False)[0]
        interop = _read_one(exif, first.order, inner.number(_INTEROP, 0), big=False)[0]
    except (ValueError, struct.error):
        return False
    return inner.number(_COLOR_SPACE, 1) == 0xFFFF and interop.content(1).startswith(b"R03")
