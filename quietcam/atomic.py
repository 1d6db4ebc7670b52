"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quietcam.errors import StorageError

__all__ = ["atomic_path", "make_folder", "sync_folder", "write_bytes", "write_json", "write_text"]


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it once the block ends well; removed when it does not.

    The temporary name keeps the suffix (``clip.webm`` is written as ``.clip.XXXX.webm``), since writers choose a
    format by it. The data is on the disk (fsync) before the name changes.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary: Path | None = None
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # Cut, because a name that fits may not fit with more behind it.
        temporary = path.with_name(f".{path.stem[:64]}.{secrets.token_hex(4)}{path.suffix}")
        # Made here, so that the file has the permissions that the umask gives any new file.
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError.writing(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # a disk that is gone: the error under way says so
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def make_folder(path: Path) -> Path:
    """Make ``path`` a folder that can be written to, parents included.

    Raises:
        StorageError: it cannot be made, or nothing can be written there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            number = errno.EROFS if os.statvfs(path).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(number, os.strerror(number))
    except FileExistsError:
        raise StorageError.writing(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))) from None
    except OSError as error:
        raise StorageError.writing(path, error) from error
    return path


def sync_folder(path: Path) -> None:
    """Make a rename last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        # Network file systems may refuse to sync a folder; the file itself is in place by now.
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
