"""Segments that a power cut or a crash left unfinished: what of them can be played."""

from __future__ import annotations

import os

__all__ = ["playable_bytes"]

_CLUSTER = b"\x1f\x43\xb6\x75"
"""The name of a Matroska cluster: frames of about a second."""
_HEAD = 1 << 16  # bytes in which a Matroska file has its first cluster


def playable_bytes(descriptor: int, suffix: str) -> int:
    """How many bytes of an unfinished ``.mp4`` or ``.mkv`` to keep: up to its last whole fragment. 0 if it has none.

    Args:
        descriptor: of the file, open for reading.

    Raises:
        OSError: it cannot be read.
    """
    size = os.fstat(descriptor).st_size
    if suffix == ".mkv":  # players skip a cluster that is cut off
        return size if _CLUSTER in os.pread(descriptor, _HEAD, 0) else 0
    place = whole = 0
    fragments = 0
    while place + 16 <= size:
        head = os.pread(descriptor, 16, place)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:  # the length has 8 bytes
            length = int.from_bytes(head[8:], "big")
        place += length
        if length < 8 or place > size:
            break
        if kind == b"mdat":  # after it the fragment is whole
            fragments += 1
            whole = place
    return whole if fragments else 0
