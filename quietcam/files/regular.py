"""Reading files that a user or a stranger may name: without waiting for a writer, within a bound of memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["MOST_OF_A_TEXT", "read_regular", "read_regular_text"]

MOST_OF_A_TEXT = 1 << 20
"""Bytes of a file that a person writes: a configuration, a token."""


def read_regular(path: Path | str, most: int) -> bytes:
    """The content of a regular file.

    Reading a pipe would wait for whoever writes into it, a device may never end, and opening either may do something.
    So none of them is opened.

    Args:
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger. ``strerror`` says so in words.
    """
    _check(os.stat(path).st_mode, path)  # noqa: PTH116  also of a name that is no valid text
    # What the path means may change meanwhile: then opening does not wait either, and what was opened is looked at.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123  of a handle
        found = os.fstat(handle)
        _check(found.st_mode, path)
        # So much memory is taken at once. What the kernel makes up, as in /proc, has no size.
        content = b"" if found.st_size > most else file.read(min(most, max(found.st_size, 1 << 16)) + 1)
    if max(found.st_size, len(content)) > most:
        raise OSError(errno.EFBIG, f"it is larger than {_size(most)}", os.fspath(path))
    return content


def read_regular_text(path: Path | str, most: int = MOST_OF_A_TEXT) -> str:
    """The same of a file that must be UTF-8.

    Raises:
        OSError: as ``read_regular``.
        UnicodeDecodeError: it is not.
    """
    return read_regular(path, most).decode()


def _check(mode: int, path: Path | str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory", os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(
            errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, no file", os.fspath(path)
        )


_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"
