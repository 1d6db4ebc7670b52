"""What a picture's file tells before it is decoded, and whether all of the file is there.

Decoders hand out half a picture, grey below, and call it success; and a few bytes may claim more pixels than memory
holds. So the file's structure is walked first, from its first byte to its last. What it cannot tell is a bit that
flipped inside of coded pixels, except in a PNG, which has checksums. Of a JPEG with a hole libjpeg tells afterwards,
unless the coded blocks join again behind it, as they may where the hole is short or lies between progressive scans.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from quietcam.data.formats import kind_of
from quietcam.data.tiff import ORIENTATION, Directory, exif_orientation, is_adobe_rgb, read_directories, upright

__all__ = ["Header", "bare_jpeg", "glance", "read_header", "read_size"]

_MOST_SCANS = 100  # of a progressive JPEG, each of which passes over all pixels; encoders write some ten
_MOST_TILE = 1 << 24  # pixels of a TIFF's tile


@dataclass(frozen=True)
class Header:
    """What the file tells.

    Attributes:
        kind: as ``kind_of`` names it; "" where it is none of these, and nothing else is told.
        width: pixels, as stored.
        height: pixels, as stored.
        bits: of a channel; 0 where it is not told.
        orientation: 1 to 8, as Exif defines it; 1 is upright.
        profile: the ICC profile that is embedded, or nothing.
        adobe_rgb: Exif tells Adobe RGB, as cameras do that embed no profile.
        end: where a JPEG's coded pixels end.
        unusual: what no picture for a camera's network is: "CMYK", "3 pages"; or nothing.
    """

    kind: str
    width: int = 0
    height: int = 0
    bits: int = 0
    orientation: int = 1
    profile: bytes = b""
    adobe_rgb: bool = False
    end: int = 0
    unusual: str = ""


def read_header(content: bytes) -> Header:
    """What a whole file tells.

    Raises:
        ValueError: it is cut short or damaged; the text says how.
    """
    kind = kind_of(content)
    if kind is None:
        return Header("")
    try:
        return _READERS[kind](content)
    except (struct.error, IndexError):
        raise ValueError("it is cut short") from None


def glance(content: bytes) -> Header:
    """As ``read_header``, but of a JPEG only what stands before its pixels: cameras end theirs in odd ways.

    Raises:
        ValueError: it is cut short or damaged; the text says how.
    """
    if kind_of(content) != "jpeg":
        return read_header(content)
    if content.count(b"\xff\xda") > _MOST_SCANS:
        raise ValueError(f"it has more than {_MOST_SCANS} scans")
    try:
        return _jpeg_tables(content)[0]
    except (struct.error, IndexError):
        raise ValueError("it is cut short") from None


def read_size(head: bytes) -> tuple[int, int] | None:
    """Width and height as stored, from the start of a file; None where more of it is needed."""
    kind = kind_of(head)
    header: Header | None = None
    try:
        if kind == "png":
            header = Header(kind, *struct.unpack_from(">II", head, 16))
        elif kind == "jpeg":
            header = _jpeg_tables(head)[0]
        elif kind == "bmp":
            header = _bmp_size(head)
        elif kind == "netpbm":
            header = _netpbm_size(head)[0]
    except (struct.error, IndexError, ValueError):
        return None
    return None if header is None or not header.width else (header.width, header.height)


def _with_exif(header: Header, exif: bytes) -> Header:
    exif = exif.removeprefix(b"Exif\0\0")
    return replace(header, orientation=exif_orientation(exif), adobe_rgb=is_adobe_rgb(exif))


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
            header = replace(
                header, **dict(zip(("width", "height", "bits"), struct.unpack_from(">IIB", data), strict=True))
            )
        elif kind == b"iCCP":
            header = replace(header, profile=_inflate(bytes(data).partition(b"\0")[2][1:]))
        elif kind == b"eXIf":
            header = _with_exif(header, bytes(data))
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


_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # within coded data, 0xFF stands before 0 or a restart marker alone
_BETWEEN = 16
_TABLES = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})


def _jpeg(content: bytes) -> Header:
    """Walk the segments and scans to the end-of-image marker (ITU T.81, annex B).

    The walk steps over an embedded thumbnail with an end marker of its own. Cameras may append data behind the end.
    """
    header, at = _jpeg_tables(content)
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


def bare_jpeg(content: bytes) -> bytes:
    """A whole JPEG without what may be odd and do no harm: for a decoder that tells the first oddity only.

    Left are the tables, the frame and the coded pixels; what bytes stand between the segments, and what a sequential
    scan says of its coefficients, is put right. Colors may be others.
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


def _jpeg_tables(content: bytes) -> tuple[Header, int]:
    """What stands before the first scan, and where its coded pixels begin; a width of 0 where no frame was found."""
    header = Header("jpeg")
    parts: dict[int, bytes] = {}
    at, exif = 2, b""
    while at + 4 <= len(content):
        if content[at] != 0xFF:  # some webcams leave a byte or two there, which decoders step over
            at = content.find(b"\xff", at, at + _BETWEEN)
            if at < 0:
                raise ValueError("its segments do not join")
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length, and decoders step over them
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
            header = replace(header, bits=bits, height=height, width=width, unusual=unusual)
        elif marker == 0xDA:
            break
    header = replace(header, profile=b"".join(parts[number] for number in sorted(parts)))
    return (_with_exif(header, exif) if exif else header), at


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
            header = replace(header, width=width & 0x3FFF, height=height & 0x3FFF)
        elif kind == b"VP8L":
            (sides,) = struct.unpack_from("<I", data, 1)
            header = replace(header, width=(sides & 0x3FFF) + 1, height=(sides >> 14 & 0x3FFF) + 1)
        elif kind == b"ICCP":
            header = replace(header, profile=data)
        elif kind == b"EXIF":
            header = _with_exif(header, data)
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
    if not header.unusual:
        _check_tiff_pixels(first, header, len(content))
    return header


def _tiff_header(first: Directory) -> Header:
    width, height = first.number(256, 0), first.number(257, 0)
    if not (width and height):
        raise ValueError("it holds no picture")
    names = {5: "CMYK", 8: "Lab", 9: "Lab", 10: "Lab"}
    unusual = names.get(first.number(262, 2), "")
    samples = first.number(277, 1)
    if samples == 2:
        unusual = "gray with transparency"
    elif samples > 4:  # a decoder would take the memory for all of them
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


def _check_tiff_pixels(first: Directory, header: Header, length: int) -> None:
    """Whether every strip or tile that the size asks for lies within the file."""
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
        raise ValueError("its rows of pixels are not all there")
    if any(not count or offset + count > length for offset, count in zip(offsets, counts, strict=True)):
        raise ValueError("it is cut short")
    row = -(-header.width * header.bits * samples // 8)
    if first.number(259, 1) == 1 and sum(counts) < row * header.height:
        raise ValueError("its rows of pixels are not all there")


def _bmp_size(content: bytes) -> Header:
    core = struct.unpack_from("<I", content, 14)[0] == 12
    width, height = struct.unpack_from("<HH" if core else "<ii", content, 18)
    return Header("bmp", abs(width), abs(height), 8)


def _bmp(content: bytes) -> Header:
    """Whether all rows lie within the file: as many as the size asks for, or as many bytes as run lengths take."""
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
    return header


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
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
    "bmp": _bmp,
    "netpbm": _netpbm,
}
