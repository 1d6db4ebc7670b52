"""Reading files that a user or a stranger names: a pipe never blocks it, and a huge file takes no memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["MOST_OF_A_TEXT", "read_regular", "read_regular_text"]

MOST_OF_A_TEXT = 1 << 20
"""Largest size in bytes of a file that a person writes, such as a configuration or a token."""


def read_regular(path: Path | str, most: int) -> bytes:
    """Read a regular file.

    Pipes and devices are not opened: reading a pipe waits for its writer, a device may never end, and opening a device
    may have an effect.

    Args:
        most: largest size in bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger. ``strerror`` explains it.
    """
    _check(os.stat(path).st_mode, path)  # noqa: PTH116  also for names that are no valid text
    # The path may be replaced meanwhile. So opening does not block either, and what was opened is checked again.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123  a descriptor
        found = os.fstat(handle)
        _check(found.st_mode, path)
        # read() takes as much memory as it is asked for. Files of the kernel, as in /proc, have size 0.
        content = b"" if found.st_size > most else file.read(min(most, max(found.st_size, 1 << 16)) + 1)
    if max(found.st_size, len(content)) > most:
        raise OSError(errno.EFBIG, f"it is larger than {_size(most)}", os.fspath(path))
    return content


def read_regular_text(path: Path | str, most: int = MOST_OF_A_TEXT) -> str:
    """Read a regular file as UTF-8.

    Raises:
        OSError: as ``read_regular``.
        UnicodeDecodeError: it is not UTF-8.
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
