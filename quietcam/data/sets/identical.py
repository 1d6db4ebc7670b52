"""Finds pictures of a data set with identical pixels, independent of their names and formats."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from quietcam.data.pictures.files import Place, read_picture
from quietcam.errors import DataError, UsageError
from quietcam.image import Image

__all__ = ["find_identical", "picture_sha256"]

_HEAD = 1 << 18  # bytes of a PNG: enough for the first row of the widest, and for a color profile before it
_WIDEST = 1 << 15


def find_identical(places: Iterable[Place]) -> list[list[Place]]:
    """Lists of two or more places with identical pixels.

    A PNG's first row is cheap to decode, and only pictures with equal first rows are fully decoded. Files that are not
    pictures are compared byte by byte.

    Raises:
        DataError: a file cannot be read.
    """
    likely: dict[bytes, list[Place]] = {}
    for place in dict.fromkeys(places):
        likely.setdefault(_first_row_key(place), []).append(place)
    found = []
    for alike in likely.values():
        if len(alike) > 1:
            by_digest: dict[str, list[Place]] = {}
            for place in alike:
                by_digest.setdefault(_whole_digest(place), []).append(place)
            found += [same for same in by_digest.values() if len(same) > 1]
    return found


def picture_sha256(image: Image) -> str:
    """SHA-256 of a picture's size and pixels, uint8 ``(H, W, 3)``: equal only for equal pictures."""
    digest = hashlib.sha256(struct.pack(">II", *image.shape[:2]))
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _first_row_key(place: Place) -> bytes:
    head = _read_bytes(place, _HEAD)
    if (row := _png_first_row(head)) is not None:
        return row
    try:
        picture = read_picture(place)
    except DataError:
        return hashlib.sha256(_read_bytes(place)).digest()
    return _row_key(picture.shape[1], picture.shape[0], picture[0].tobytes())


def _row_key(width: int, height: int, row: bytes) -> bytes:
    return hashlib.sha256(struct.pack(">II", height, width) + row).digest()


def _whole_digest(place: Place) -> str:
    try:
        return picture_sha256(read_picture(place))
    except (DataError, UsageError):
        return hashlib.sha256(_read_bytes(place)).hexdigest()


def _read_bytes(place: Place, count: int = -1) -> bytes:
    if not isinstance(place, Path):
        try:
            return place.read_bytes(count)
        except DataError:  # damaged: the error comes when the picture is read
            return str(place).encode(errors="surrogateescape")
    try:
        with place.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise DataError(
            f"A picture must be readable. Received: {place} ({error.strerror or error}). "
            "Remedy: check its permissions and the disk."
        ) from error


def _png_first_row(head: bytes) -> bytes | None:
    """The key of a PNG's first row, from the file's first bytes; None if it is not a plain 8-bit RGB or gray PNG.

    PNG specification, sections 5.3, 7 and 9: the first row has nothing above it, so "Up" changes nothing, "Paeth" is
    "Sub", and "Average" takes half of what stands to the left.
    """
    if not head.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR") or len(head) < 33:
        return None
    width, height, depth, color, _, _, interlace = struct.unpack_from(">IIBBBBB", head, 16)
    if depth != 8 or color not in (0, 2) or interlace or width > _WIDEST:
        return None
    step = 3 if color == 2 else 1
    row = _inflate(head, 1 + width * step)
    if row is None:
        return None
    pixels = np.frombuffer(row, np.uint8, offset=1).reshape(width, step)
    if row[0] in (1, 4):
        pixels = np.cumsum(pixels, axis=0, dtype=np.uint8)
    elif row[0] == 3:
        left = np.zeros(step, np.uint8)
        averaged = np.empty_like(pixels)
        for i, pixel in enumerate(pixels):
            averaged[i] = left = pixel + left // 2
        pixels = averaged
    return _row_key(width, height, np.repeat(pixels, 3 // step, axis=1).tobytes())


def _inflate(head: bytes, count: int) -> bytes | None:
    """The first ``count`` bytes of what a PNG's IDAT chunks hold; None where they do not lie within ``head``."""
    stream = zlib.decompressobj()
    row, at = b"", 8
    while at + 12 <= len(head) and len(row) < count:
        (length,) = struct.unpack_from(">I", head, at)
        if head[at + 4 : at + 8] == b"IDAT":
            try:
                row += stream.decompress(head[at + 8 : at + 8 + length], count - len(row))
            except zlib.error:
                return None
        at += 12 + length
    return row if len(row) == count else None
