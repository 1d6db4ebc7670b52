"""Reads the header of a picture's file before it is decoded, and checks that the file is complete.

Decoders return half a picture, with gray below, without an error, and a few bytes may claim more pixels than fit into
memory. So the structure of the file is read first, from its first byte to its last. This does not find flipped bits
inside coded pixels, except in a PNG, which has checksums. libjpeg reports a hole in a JPEG afterward, unless the coded
blocks fit together again after it, as they may if the hole is short or lies between progressive scans.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

from quietcam.data.pictures.formats import kind_of
from quietcam.data.pictures.header import Header, with_exif
from quietcam.data.pictures.jpeg import glance_jpeg, jpeg_tables, read_jpeg
from quietcam.data.pictures.tiff import ORIENTATION, Directory, read_directories, upright

__all__ = ["glance", "read_header", "read_size"]

# The most pixels or bytes that one coded byte can hold, by coding. Fax codes, Zstandard and LZMA have no such bound,
# and neither has lossless WebP: 100 million pixels of a single color take 34 bytes.
_DEFLATE, _LZW, _PACKBITS = 1032, 4096, 128
_VP8 = 2048  # pixels: at least one bit for each 16x16
_RUNS = 256  # pixels: a run of 255 takes two bytes
_MOST_TILE = 1 << 24  # pixels in one tile of a TIFF


def read_header(content: bytes) -> Header:
    """Read the header of a whole file.

    Raises:
        ValueError: the file is cut short or damaged; the text says how.
    """
    kind = kind_of(content)
    if kind is None:
        return Header("")
    try:
        return _READERS[kind](content)
    except (struct.error, IndexError):
        raise ValueError("it is cut short") from None


def glance(content: bytes) -> Header:
    """As ``read_header``, but read only the part of a JPEG before its pixels: cameras end their files in odd ways.

    Raises:
        ValueError: the file is cut short or damaged; the text says how.
    """
    if kind_of(content) != "jpeg":
        return read_header(content)
    try:
        return glance_jpeg(content)
    except (struct.error, IndexError):
        raise ValueError("it is cut short") from None


def read_size(head: bytes) -> tuple[int, int] | None:
    """Width and height as stored, from the start of a file; None if more of the file is needed."""
    kind = kind_of(head)
    header: Header | None = None
    try:
        if kind == "png":
            header = Header(kind, *struct.unpack_from(">II", head, 16))
        elif kind == "jpeg":
            header = jpeg_tables(head)[0]
        elif kind == "bmp":
            header = _bmp_size(head)
        elif kind == "netpbm":
            header = _netpbm_size(head)[0]
    except (struct.error, IndexError, ValueError):
        return None
    return None if header is None or not header.width else (header.width, header.height)


def _png(content: bytes) -> Header:
    """Walk the chunks to IEND and check their sums (PNG specification, section 5)."""
    view = memoryview(content)
    header = Header("png")
    at, pixels = 8, False
    while at + 12 <= len(view):
        (length,) = struct.unpack_from(">I", view, at)
        kind = bytes(view[at + 4 : at + 8])
        end = at + 8 + length
        if end + 4 > len(view):
            break
        data = view[at + 8 : end]
        if zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", view, end)[0]:
            raise ValueError(f"the checksum of its {ascii(kind.decode('latin-1'))[1:-1]} chunk is wrong")
        if kind == b"IHDR":
            width, height, bits, colors = struct.unpack_from(">IIBB", data)
            row = -(-width * bits * {2: 3, 4: 2, 6: 4}.get(colors, 1) // 8)
            header = replace(header, width=width, height=height, bits=bits, least=row * height // _DEFLATE)
        elif kind == b"iCCP":
            header = replace(header, profile=_inflate(bytes(data).partition(b"\0")[2][1:]))
        elif kind == b"eXIf":
            header = with_exif(header, bytes(data))
        elif kind == b"acTL" and (frames := struct.unpack_from(">I", data)[0]) > 1:
            header = replace(header, unusual=f"{frames} animated pictures")
        elif kind == b"IDAT":
            pixels = True
        elif kind == b"IEND":
            if not (header.width and header.height and pixels):
                raise ValueError("it holds no picture")
            return header
        at = end + 4
    raise ValueError("it is cut short")


def _inflate(packed: bytes, most: int = 1 << 22) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return b""


def _webp(content: bytes) -> Header:
    """Walk the chunks of the RIFF container (RFC 9649)."""
    (length,) = struct.unpack_from("<I", content, 4)
    end = 8 + length
    if end > len(content):
        raise ValueError("it is cut short")
    header, at, canvas = Header("webp", bits=8), 12, None
    while at + 8 <= end:
        kind, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        data = content[at + 8 : at + 8 + size]
        if at + 8 + size > end:
            raise ValueError("its chunks do not join")
        if kind == b"VP8X":
            canvas = tuple(1 + int.from_bytes(data[place : place + 3], "little") for place in (4, 7))
            if data[0] & 2:
                header = replace(header, unusual="animated pictures")
        elif kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 6)
            width, height = width & 0x3FFF, height & 0x3FFF
            header = replace(header, width=width, height=height, least=width * height // _VP8)
        elif kind == b"VP8L":
            (sides,) = struct.unpack_from("<I", data, 1)
            header = replace(header, width=(sides & 0x3FFF) + 1, height=(sides >> 14 & 0x3FFF) + 1)
        elif kind == b"ICCP":
            header = replace(header, profile=data)
        elif kind == b"EXIF":
            header = with_exif(header, data)
        at += 8 + size + (size & 1)
    if not header.unusual and not (header.width and header.height):
        raise ValueError("it holds no picture")
    if not header.unusual and canvas not in (None, (header.width, header.height)):
        raise ValueError("its sizes differ")
    return header


def _tiff(content: bytes) -> Header:
    directories = read_directories(content)
    first = directories[0]
    pages = [each for each in directories if not each.number(254, 0) & 5]  # without previews and masks
    header = _tiff_header(first)
    if 50706 in first.entries:
        return replace(header, unusual="camera raw (DNG)")
    if first.number(262, 2) in (32803, 34892) or (first.number(254, 0) & 1 and 330 in first.entries):
        return replace(header, unusual="camera raw")
    if len(pages) > 1:
        return replace(header, unusual=f"{len(pages)} pages")
    return header if header.unusual else _with_least(first, header, len(content))


def _tiff_header(first: Directory) -> Header:
    width, height = first.number(256, 0), first.number(257, 0)
    if not (width and height):
        raise ValueError("it holds no picture")
    names = {5: "CMYK", 8: "Lab", 9: "Lab", 10: "Lab"}
    unusual = names.get(first.number(262, 2), "")
    samples = first.number(277, 1)
    if samples == 2:
        unusual = "gray with transparency"
    elif samples > 4:  # a decoder would reserve memory for all of them
        unusual = f"{samples} channels"
    return Header(
        "tiff",
        width,
        height,
        max(first.numbers(258) or (1,)),
        upright(first.number(ORIENTATION, 1)),
        first.content(34675),
        unusual=unusual,
    )


def _with_least(first: Directory, header: Header, length: int) -> Header:
    """``header``, once every strip or tile that the size asks for lies within the file."""
    tiled = 322 in first.entries
    offsets, counts = (first.numbers(tag) for tag in ((324, 325) if tiled else (273, 279)))
    samples = first.number(277, 1)
    if tiled:
        across, down = first.number(322, 0), first.number(323, 0)
        if across * down > _MOST_TILE:
            raise ValueError(f"its tiles of {across}x{down} are too large")
        wanted = -(-header.width // across) * -(-header.height // down) if across and down else 0
    else:
        rows = min(first.number(278, header.height), header.height)
        wanted = -(-header.height // rows) if rows else 0
    wanted *= samples if first.number(284, 1) == 2 else 1
    if not wanted or len(offsets) != wanted or len(counts) != wanted:
        raise ValueError("some of its rows of pixels are missing")
    if any(not count or offset + count > length for offset, count in zip(offsets, counts, strict=True)):
        raise ValueError("it is cut short")
    # Cb and Cr may be stored only once for several pixels.
    row = -(-header.width * header.bits * (1 if first.number(262, 2) == 6 else samples) // 8)
    packing = first.number(259, 1)
    if packing == 1 and sum(counts) < row * header.height:
        raise ValueError("some of its rows of pixels are missing")
    grows = {5: _LZW, 8: _DEFLATE, 32946: _DEFLATE, 32773: _PACKBITS}.get(packing, 0)
    return replace(header, least=row * header.height // grows) if grows else header


def _bmp_size(content: bytes) -> Header:
    core = struct.unpack_from("<I", content, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if core else "<ii", content, 18)
    return Header("bmp", abs(width), abs(height), 8)


def _bmp(content: bytes) -> Header:
    """Read the header, and check that all rows, or all run lengths, lie within the file."""
    header = _bmp_size(content)
    if not (header.width and header.height):
        raise ValueError("it holds no picture")
    start, size = struct.unpack_from("<II", content, 10)
    bits, packing, packed = struct.unpack_from("<HII", content, 28) if size >= 40 else (0, 0, 0)
    if size == 12:
        (bits,) = struct.unpack_from("<H", content, 24)
    needed = packed if packing in (1, 2) else -(-header.width * bits // 32) * 4 * header.height
    if start + needed > len(content):
        raise ValueError("it is cut short")
    return replace(header, least=header.width * header.height // _RUNS) if packing in (1, 2) else header


_NETPBM = re.compile(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")


def _netpbm_size(content: bytes) -> tuple[Header, int]:
    found = _NETPBM.match(content)
    if found is None or max(map(len, found.groups())) > 9:
        raise ValueError("its first line is damaged")
    kind, width, height, most = map(int, found.groups())
    bits = 8 if most < 256 else 16
    needed = width * height * (3 if kind == 6 else 1) * bits // 8
    unusual = "" if most in (255, 65535) else f"values up to {most}"
    return Header("netpbm", width, height, bits, unusual=unusual), found.end() + needed


def _netpbm(content: bytes) -> Header:
    header, end = _netpbm_size(content)
    if not (header.width and header.height):
        raise ValueError("it holds no picture")
    if end > len(content):
        raise ValueError("it is cut short")
    return header


_READERS: dict[str, Callable[[bytes], Header]] = {
    "png": _png,
    "jpeg": read_jpeg,
    "webp": _webp,
    "tiff": _tiff,
    "bmp": _bmp,
    "netpbm": _netpbm,
}
