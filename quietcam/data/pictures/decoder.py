"""Runs OpenCV's decoders and reads what they print: they report a JPEG's missing pixels only on the error stream."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from quietcam.data.pictures.header import Header
from quietcam.data.pictures.jpeg import bare_jpeg
from quietcam.data.pictures.opencv import decode_image
from quietcam.errors import DataError
from quietcam.process.native_output import native_lines_read
from quietcam.process.turn import Turn

__all__ = ["damaged", "decode", "what_it_is"]


def decode(path: object, content: bytes, header: Header) -> Any:
    """Decode to an array ``(H, W)`` or ``(H, W, C)`` in BGR order, with the bit depth of the file.

    The picture is as stored, not turned upright, except for a TIFF, whose decoder always turns it.

    Args:
        path: the name of the picture in errors.
        content: of the file.
        header: what ``read_header`` gave for it.

    Raises:
        DataError: no decoder can read it, or pixels are missing.
    """
    pixels, heard = _decode(path, content, header)
    if pixels is None:
        raise damaged(path, "no decoder can read it")
    if heard and header.kind == "jpeg" and not any(_tells_damage(line, content[: header.end]) for line in heard):
        # libjpeg prints only its first warning: after a harmless one there may be another.
        heard = _decode(path, bare_jpeg(content), header)[1]
    if damage := next((line for line in heard if _tells_damage(line, content[: header.end])), None):
        raise damaged(path, f"pixels are missing or wrong; its decoder says: {damage}")
    return pixels


def _decode(path: object, content: bytes, header: Header) -> tuple[Any, list[str]]:
    """The decoder's array or None, and the lines that it printed."""
    import cv2

    # "Unchanged" keeps depth and transparency, which are checked later, and turns nothing: files.py turns all formats.
    _ALONE.take()
    try:
        with _silent_opencv(), native_lines_read(_is_decoders) as heard:
            pixels = decode_image(content, header, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise damaged(path, f"OpenCV refuses it: {error.err or error}") from error
    finally:
        _ALONE.leave()
    return pixels, heard


_ALONE = Turn()
"""One picture at a time, since a decoder's lines do not name the picture."""


def what_it_is(content: bytes) -> str:
    """Describe a file that a failed download left in place of a picture."""
    start = content[:256].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the picture itself: git lfs pull downloads it"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "no decoder can read it: its format is unknown"


_DECODERS = re.compile(
    r"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS parameters|Unknown Adobe color"
    r"|Warning: unknown JFIF|libpng (warning|error)"
)
_EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x(d9|db|e)")
_HARMLESS = 64  # bytes that some cameras leave between the first segments, or between the last pixel and the end


def _is_decoders(line: str) -> bool:
    return _DECODERS.match(line) is not None


def _tells_damage(line: str, coded: bytes) -> bool:
    """Whether libjpeg reports pixels that are missing or made up. It returns gray for them and reports no error.

    Any number of padding bytes before the end of the ``coded`` pixels is harmless.
    """
    if found := _EXTRANEOUS.match(line):
        return int(found[1]) > _HARMLESS and len(set(coded[-int(found[1]) :])) > 1
    return line.startswith(("Corrupt JPEG data", "Premature end of JPEG", "Inconsistent progression"))


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's own log off the terminal: the error that we raise says it better."""
    import cv2

    # OpenCV 5 has these two in a separate module, OpenCV 4 at the top. 0 is "silent" in both.
    log: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(before)


def damaged(path: object, how: str) -> DataError:
    """The error for a damaged picture. ``path`` is its name, ``how`` is what is wrong."""
    return DataError(
        f"A picture must be whole and of a known format. Received: {path} ({how}). "
        "Remedy: copy or download it again, convert it (magick IN OUT.png), or remove it from the data."
    )
