"""Files that are written whole or not at all."""

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
"""Errors of file systems that cannot sync a folder. A failing disk gives none of these."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
"""Errors of file systems without hard links, such as those of many memory cards."""


def check_target(path: Path) -> None:
    """Check that a file can be written, before the work whose result it will hold.

    Raises:
        OSError: a name in ``path`` is too long; it is a folder, a device or a pipe; or its folder cannot be written to
            or created.
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
    """A temporary path beside ``path``: renamed to ``path`` if the block succeeds, removed if it fails.

    The temporary name keeps the suffix (``clip.webm`` is written as ``.clip.XXXX.webm``), since libraries choose the
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
    """A file under a temporary name while it is written, see ``atomic_path``. Call ``drop`` at the end.

    Args:
        path: its final path.
        place: the folder that holds ``path``, if the folder of ``path`` may have been replaced in the meantime.
            Defaults to the folder of ``path``, which is created if it does not exist.

    Attributes:
        temporary: the path while it is written.

    Raises:
        StorageError: as ``atomic_path``.
    """

    def __init__(self, path: Path, place: Path | None = None) -> None:
        self._path = path = Path(path)
        self._place = make_folder(path.parent) if place is None else place
        try:
            _check_replaceable(self._place / path.name)
            self.temporary = self._place / _beside(path)
            # Created here, so that the file gets the permissions that the umask gives to any new file.
            os.close(os.open(self.temporary, _NEW, 0o666))
        except OSError as error:
            raise StorageError.writing(path, error) from error

    def keep(self, path: Path | None = None, replace: bool = True, hurried: bool = False) -> None:
        """Sync the file to disk, and give it its final name.

        Args:
            path: another final name, in the same folder.
            replace: whether an existing file of this name is replaced.
            hurried: rename first and sync then, since a slow disk may take longer than this process has left.

        Raises:
            FileExistsError: the name exists, and ``replace`` is False. ``keep`` may be called again.
            StorageError: as ``atomic_path``.
        """
        path = self._path if path is None else path
        there = self._place / path.name
        try:
            # A library may have created it again. If it is no regular file by now, it never gets the final name.
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
        """Remove the temporary file if it still exists. May be called twice."""
        with contextlib.suppress(OSError):  # the disk has gone: another error says so already
            self.temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, folder: int | None = None) -> None:
    """Write ``content`` to ``path``, whole or not at all.

    Args:
        folder: descriptor of the folder that holds ``path``, if the path to it cannot be trusted. Defaults to the
            folder of ``path``, which is created if it does not exist.

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
    """Create a file and sync it to disk (fsync). If that fails, the file is removed.

    Args:
        folder: descriptor of the folder.

    Raises:
        OSError: it cannot be written, or the name exists, even as a link.
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
    """Create the folder ``path`` and its parents if they do not exist, and check that it can be written to.

    Raises:
        StorageError: it cannot be created, or not be written to.
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
    """Sync a folder (a path or a descriptor), so that a rename in it survives a power cut.

    Raises:
        OSError: the disk fails. A file system that cannot sync folders, as over a network, is no error.
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
    """A temporary name. The stem is cut (in bytes), so that the name does not become too long."""
    stem = os.fsencode(path.stem)[:64].decode(errors="ignore")
    return f".{stem}.{secrets.token_hex(4)}{path.suffix if len(os.fsencode(path.suffix)) <= 32 else ''}"


def _linked(temporary: Path, path: Path) -> bool:
    """Give the file its final name if that does not exist. False if the disk has no hard links and the name is free.

    Raises:
        FileExistsError: the name exists.
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
    """Check that ``path`` is a file, a link to a file, or does not exist. A device such as ``/dev/null`` is refused."""
    try:
        mode = os.stat(path if folder is None else path.name, dir_fd=folder).st_mode
    except OSError:  # it does not exist, or is a broken link
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is a device, a pipe or a socket, not a file")
