"""Reads the segments and scans of a JPEG (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from quietcam.data.pictures.header import Header, with_exif

__all__ = ["bare_jpeg", "glance_jpeg", "jpeg_tables", "read_jpeg"]

_MOST_SCANS = 100  # in a progressive JPEG each scan covers all pixels; encoders write about ten
_PIXELS_OF_A_BYTE = (
    1024  # the most: the shortest Huffman code is one bit per 8x8 block, and half of the blocks may be omitted
)
_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # within coded data, only 0 or a restart marker follows 0xFF
_BETWEEN = 16
_TABLES = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})


def read_jpeg(content: bytes) -> Header:
    """Walk the segments and scans to the end-of-image marker (ITU T.81, annex B).

    Embedded thumbnails, which have their own end marker, are skipped. Cameras may append data after the end.
    """
    header, at = jpeg_tables(content)
    if not header.width:
        raise ValueError("it is cut short" if at + 4 > len(content) else "it holds no picture")
    scans = 1
    while found := _IN_SCAN.search(content, at):
        at, marker = found.start(), content[found.start() + 1]
        if marker == 0xD9:
            return replace(header, end=at)
        if marker not in _TABLES:
            raise ValueError("its coded pixels are damaged")
        scans += marker == 0xDA
        if scans > _MOST_SCANS:
            raise ValueError(f"it has more than {_MOST_SCANS} scans")
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    raise ValueError("it is cut short")


def glance_jpeg(content: bytes) -> Header:
    """Read only the part before the first scan, since cameras end their pictures in odd ways.

    Raises:
        ValueError: it is damaged, or has more scans than any encoder writes.
    """
    if content.count(b"\xff\xda") > _MOST_SCANS:
        raise ValueError(f"it has more than {_MOST_SCANS} scans")
    return jpeg_tables(content)[0]


def bare_jpeg(content: bytes) -> bytes:
    """A whole JPEG without harmless oddities, for a decoder that reports only the first oddity.

    It keeps the tables, the frame and the coded pixels. Bytes between segments are removed, and the coefficient range
    of a sequential scan is corrected. Colors may differ.
    """
    parts, at, sequential = [content[:2]], 2, True
    while at + 4 <= len(content):
        at = max(at, content.find(b"\xff", at))
        marker = content[at + 1]
        if marker in (0xD9, 0xFF):
            at += 1
            if marker == 0xD9:
                break
            continue
        end = at + 2 + struct.unpack_from(">H", content, at + 2)[0]
        sequential = sequential and marker != 0xC2
        if marker == 0xDA:
            found = _IN_SCAN.search(content, end)
            stop = found.start() if found else len(content)
            scan = content[at : end - 3] + b"\0\x3f\0" if sequential else content[at:end]
            parts += [scan, content[end:stop]]
            end = stop
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            parts.append(content[at:end])
        at = end
    return b"".join((*parts, b"\xff\xd9"))


def jpeg_tables(content: bytes) -> tuple[Header, int]:
    """Read the header before the first scan, and the offset of the coded pixels; width 0 if no frame was found."""
    header = Header("jpeg")
    parts: dict[int, bytes] = {}
    at, exif = 2, b""
    while at + 4 <= len(content):
        if content[at] != 0xFF:  # some webcams leave a byte or two there, which decoders skip
            at = content.find(b"\xff", at, at + _BETWEEN)
            if at < 0:
                raise ValueError("its segments do not join")
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length, and decoders skip them
            at += 2
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        data, at = content[at + 4 : at + 2 + length], at + 2 + length
        if marker == 0xE1 and data.startswith(b"Exif\0\0"):
            exif = exif or data
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0"):
            parts[data[12]] = data[14:]
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", data)
            unusual = "CMYK" if channels == 4 else ""
            least = 0 if marker > 0xC8 else width * height // _PIXELS_OF_A_BYTE  # arithmetic codes have no minimum
            header = replace(header, bits=bits, height=height, width=width, unusual=unusual, least=least)
        elif marker == 0xDA:
            break
    header = replace(header, profile=b"".join(parts[number] for number in sorted(parts)))
    return (with_exif(header, exif) if exif else header), at
