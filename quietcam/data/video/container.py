"""Reads the sizes in a video's container without decoding it: MP4 and MOV, Matroska and WebM, AVI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Container", "look_at_container"]

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_MOST_BOXES = 1_000_000


@dataclass(frozen=True)
class Container:
    """What is known about a video's file.

    Attributes:
        counted: whether an index lists every frame, so that the number of frames is exact.
        missing: how many bytes of the announced size the file lacks.
        without_index: whether it has no index although its format needs one, since the recording was cut off.
    """

    counted: bool = False
    missing: int = 0
    without_index: bool = False


def look_at_container(path: Path) -> Container:
    """Read the sizes. For a file of another kind, or one that cannot be read, nothing is known."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            file.seek(0)
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return _iso(file, size)
            if head[:4] == _EBML:
                return Container(missing=_matroska_missing(file, size))
            if head[:4] == b"RIFF" and head[8:] == b"AVI ":
                announced = int.from_bytes(head[4:8], "little")
                return Container(counted=0 < announced <= size - 8, missing=max(0, announced + 8 - size))
    except (OSError, ValueError):
        pass
    return Container()


def _iso(file: BinaryIO, size: int) -> Container:
    """ISO/IEC 14496-12: boxes of a length (4 bytes, big-endian; 1: the 8 after the name; 0: to the end) and a name."""
    at, names = 0, set()
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        length = int.from_bytes(head[:4], "big")
        names.add(head[4:8])
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        at = size if length == 0 else at + length
        if 0 < length < 8 or at >= size:
            break
    return Container(b"moov" in names and b"moof" not in names, max(0, at - size), b"moov" not in names)


def _matroska_missing(file: BinaryIO, size: int) -> int:
    """RFC 8794: elements of a name, a length (the leading zeros of its first byte give its own size) and a content."""
    file.seek(4)
    length = _length(file)
    file.seek(length or 0, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length = _length(file)
    return 0 if length is None else max(0, file.tell() + length - size)


def _length(file: BinaryIO) -> int | None:
    """None if it is unknown, as in live recordings."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + file.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value
