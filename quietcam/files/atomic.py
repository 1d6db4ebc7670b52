"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quietcam.errors import StorageError
from quietcam.files.strict_json import dump_json

__all__ = [
    "Draft",
    "atomic_path",
    "check_target",
    "make_folder",
    "sync_folder",
    "write_bytes",
    "write_json",
    "write_new",
    "write_text",
]

_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes."""

_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}
"""What file systems say that cannot sync a folder. An error of the disk is none of these."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
"""What file systems say that have no hard links, as those of many cards."""


def check_target(path: Path) -> None:
    """Refuse a file that could not be written as things are, before the work that it is to hold.

    Raises:
        OSError: a name in ``path`` is too long; it is a folder, a device or a pipe; or its folder can neither be
            written to nor made.
    """
    if any(len(os.fsencode(each)) > _LONGEST_NAME for each in path.parts) or len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
    _check_replaceable(path)
    for folder in path.parents:
        if os.path.lexists(folder):
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
            return


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it once the block ends well; removed when it does not.

    The temporary name keeps the suffix (``clip.webm`` is written as ``.clip.XXXX.webm``), since writers choose a
    format by it. The data is on the disk (fsync) before the name changes. A link at ``path`` is replaced, not followed.

    Raises:
        StorageError: the disk is full, read-only or gone; or ``path`` is a folder, a device or a pipe.
    """
    draft = Draft(path)
    try:
        yield draft.temporary
        draft.keep()
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError.writing(Path(path), error) from error
    finally:
        draft.drop()


class Draft:
    """A file under a temporary name, for as long as it is written: see ``atomic_path``. ``drop`` it in the end.

    Args:
        path: what it shall be called.
        place: the folder in which ``path`` lies, where that path may lead elsewhere by now; else it is made where it is
            missing.

    Attributes:
        temporary: where it is until then.

    Raises:
        StorageError: as ``atomic_path``.
    """

    def __init__(self, path: Path, place: Path | None = None) -> None:
        self._path = path = Path(path)
        self._place = make_folder(path.parent) if place is None else place
        try:
            _check_replaceable(self._place / path.name)
            self.temporary = self._place / _beside(path)
            # Made here, so that the file has the permissions that the umask gives any new file.
            os.close(os.open(self.temporary, _NEW, 0o666))
        except OSError as error:
            raise StorageError.writing(path, error) from error

    def keep(self, path: Path | None = None, replace: bool = True, hurried: bool = False) -> None:
        """See it on the disk and give it its name, or that of ``path`` in the same folder.

        Args:
            replace: what is there.
            hurried: give it its name first, since a slow disk may take longer than this process has.

        Raises:
            FileExistsError: something of that name is there, and it shall not ``replace`` it. May be called again.
            StorageError: as ``atomic_path``.
        """
        path = self._path if path is None else path
        there = self._place / path.name
        try:
            # Its writer may have made it anew; what is no file by now is not opened for long, and never takes the name.
            handle = os.open(self.temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                if not hurried:
                    os.fsync(handle)
                if replace or not _linked(self.temporary, there):
                    self.temporary.replace(there)
                if hurried:
                    os.fsync(handle)
            finally:
                os.close(handle)
            sync_folder(self._place)
        except FileExistsError:
            raise
        except OSError as error:
            raise StorageError.writing(path, error) from error

    def drop(self) -> None:
        """Remove what is left under the temporary name. May be called twice."""
        with contextlib.suppress(OSError):  # a disk that is gone: the error under way says so
            self.temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, folder: int | None = None) -> None:
    """Write ``content`` to ``path``, whole or not at all.

    Args:
        folder: descriptor of the folder that ``path`` lies in, where its path is not to be trusted; else it is made
            where it is missing.

    Raises:
        StorageError: as ``atomic_path``.
    """
    path = Path(path)
    if folder is None:
        make_folder(path.parent)
    temporary = _beside(path)
    try:
        handle = os.open(path.parent, _FOLDER) if folder is None else folder
        try:
            _check_replaceable(path, folder)
            write_new(handle, temporary, content)
            try:
                os.rename(temporary, path.name, src_dir_fd=handle, dst_dir_fd=handle)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=handle)
                raise
            sync_folder(handle)
        finally:
            if folder is None:
                os.close(handle)
    except OSError as error:
        raise StorageError.writing(path, error) from error


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any, folder: int | None = None) -> None:
    """Write ``content`` to ``path`` as indented JSON, whole or not at all; ``folder`` as in ``write_bytes``."""
    write_bytes(path, (dump_json(content, indent=2) + "\n").encode(), folder)


def write_new(folder: int, name: str, content: bytes) -> None:
    """Write a file that is not there yet, and see it on the disk (fsync); where that fails it is not there.

    Args:
        folder: its descriptor.

    Raises:
        OSError: the disk does not take it, or something of that name is there, be it a link.
    """
    handle = os.open(name, _NEW, 0o666, dir_fd=folder)
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise


def make_folder(path: Path) -> Path:
    """Make ``path`` a folder that can be written to, parents included.

    Raises:
        StorageError: it cannot be made, or nothing can be written there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(path).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(number, os.strerror(number))
    except FileExistsError:
        raise StorageError.writing(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))) from None
    except OSError as error:
        raise StorageError.writing(path, error) from error
    return path


def sync_folder(folder: Path | int) -> None:
    """Make a rename in ``folder``, or in the one of that descriptor, last through a power cut.

    Raises:
        OSError: the disk fails. That a network file system cannot sync a folder is no error.
    """
    handle = folder if isinstance(folder, int) else os.open(folder, _FOLDER)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        if not isinstance(folder, int):
            os.close(handle)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _beside(path: Path) -> str:
    """A temporary name. Cut (in bytes), because a name that fits may not fit with more behind it."""
    stem = os.fsencode(path.stem)[:64].decode(errors="ignore")
    return f".{stem}.{secrets.token_hex(4)}{path.suffix if len(os.fsencode(path.suffix)) <= 32 else ''}"


def _linked(temporary: Path, path: Path) -> bool:
    """Give it its name where nothing has that name; False where the disk has no links, and nothing has it.

    Raises:
        FileExistsError: something has it.
    """
    try:
        os.link(temporary, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        return False
    temporary.unlink()
    return True


def _check_replaceable(path: Path, folder: int | None = None) -> None:
    """A file may take the place of a file, of a link to one, or of nothing. Never of ``/dev/null``."""
    try:
        mode = os.stat(path if folder is None else path.name, dir_fd=folder).st_mode
    except OSError:  # nothing, or a link to nothing
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is a device, a pipe or a socket, not a file")
