"""The pictures in a folder, in the order of their names and numbers."""

from __future__ import annotations

import re
from pathlib import Path

from quietcam.data.pictures.formats import (
    HEAD,
    PICTURE_SUFFIXES,
    count_unread,
    is_hidden,
    is_picture,
    kind_of,
    unread_by_content,
    unread_by_name,
)
from quietcam.errors import DataError, UsageError
from quietcam.terminal.log import log

__all__ = ["is_picture_file", "list_pictures"]

_VIDEO_SUFFIXES = frozenset({".gif", ".mjpg", ".mjpeg"})


def is_picture_file(path: Path) -> bool:
    """Whether a file is a picture by its name or its first bytes, even of a kind that is not read.

    For a kind that is not read, the error of ``read_picture`` says what to do. GIF and Motion JPEG count as videos.
    """
    if path.suffix.lower() in _VIDEO_SUFFIXES:
        return False
    if is_picture(path) or unread_by_name(path) is not None:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return kind_of(head) is not None or unread_by_content(head) is not None


def list_pictures(folder: Path) -> list[Path]:
    """The pictures directly in ``folder``, ``frame_2`` before ``frame_10``.

    The log counts photographs that are not read, such as HEIC, and names the first one.

    Raises:
        UsageError: the folder is missing.
        DataError: it holds no picture.
    """
    if not folder.is_dir():
        raise UsageError(f"A folder of pictures must exist. Received: {folder}. Remedy: check the path.")
    files = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=_natural)
    found = [path for path in files if is_picture(path) and path.is_file()]
    unread = count_unread(path.relative_to(folder) for path in files if unread_by_name(path) and path.is_file())
    if not found:
        received, remedy = "with none", f"put pictures there ({' '.join(sorted(PICTURE_SUFFIXES))})"
        inner = [path.name for path in files if path.is_dir() and not is_hidden(path.name)]
        if unread:
            received += ": " + "; ".join(f"{detail} (the first is {name})" for name, detail in unread)
            remedy = "convert what is there, or " + remedy
        elif inner:
            received, remedy = "with folders only", f"give one of these: {', '.join(inner[:8])}"
        raise DataError(
            f"A folder of pictures must hold at least one. Received: {folder}, {received}. Remedy: {remedy}."
        )
    for name, detail in unread:
        log.warning("Skipped in %s: %s (the first is %s)", folder, detail, name)
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), part) if part.isdecimal() else (0, part) for part in parts]
