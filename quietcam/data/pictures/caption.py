"""Writes a caption into a picture file: a comment that metadata viewers show, without changing any pixel."""

from __future__ import annotations

import struct
import zlib

__all__ = ["caption_of", "with_caption"]

_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR_END = len(_PNG) + 8 + 13 + 4
_KEYWORD = b"Comment\0"
_JPEG = b"\xff\xd8"
_COM, _SOS = 0xFE, 0xDA
_MOST = 65_000  # bytes; a JPEG segment can hold 65,533


def with_caption(content: bytes, caption: str) -> bytes:
    """A PNG or JPEG file with ``caption`` as its comment: a ``tEXt`` chunk (PNG specification, 11.3.4.3), or a ``COM``
    segment (ITU T.81, B.2.4.5) after that of JFIF.

    Args:
        content: a whole file, as an encoder wrote it.
        caption: ASCII, one line.
    """
    text = caption.encode("ascii", "backslashreplace")[:_MOST]
    if content.startswith(_PNG):
        body = b"tEXt" + _KEYWORD + text
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return content[:_IHDR_END] + chunk + content[_IHDR_END:]
    at = len(_JPEG)
    if content[at : at + 2] == b"\xff\xe0":  # the JFIF segment must be the first
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    return content[:at] + bytes((0xFF, _COM)) + struct.pack(">H", len(text) + 2) + text + content[at:]


def caption_of(content: bytes) -> str | None:
    """The caption that ``with_caption`` wrote; None without a caption."""
    if content.startswith(_PNG):
        at = len(_PNG)
        while at + 12 <= len(content):
            (length,) = struct.unpack_from(">I", content, at)
            body = content[at + 8 : at + 8 + length]
            if content[at + 4 : at + 8] == b"tEXt" and body.startswith(_KEYWORD):
                return body[len(_KEYWORD) :].decode("latin-1")
            at += 12 + length
        return None
    at = len(_JPEG)
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != _SOS:
        (length,) = struct.unpack_from(">H", content, at + 2)
        if content[at + 1] == _COM:
            return content[at + 4 : at + 2 + length].decode("latin-1")
        at += 2 + length
    return None
