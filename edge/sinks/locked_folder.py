"""LockedFolder: a folder that one process locks, known by its identity and not by its path, and the work inside it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from quietcam.errors import StorageError, UsageError
from quietcam.files.atomic import make_folder
from quietcam.files.paths import is_dir, resolved

__all__ = ["FOLDER", "LockedFolder", "move", "names", "remove", "sizes"]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags that open a folder, and refuse a link in its place."""

_NO_LIST = getattr(os, "O_PATH", 0)  # Linux: no right to read is needed
_MOST_FILES = 64  # in a folder that quietcam made; a folder with more files is not ours
_TRIES = 10  # attempts to lock a folder that others keep replacing


class LockedFolder:
    """A folder that one process locks. All work inside it uses ``descriptor``, so no path can lead elsewhere.

    The lock is on the folder itself: it moves with the folder, and a new folder of the same name is free. A link at
    ``path`` that belongs to this user or root is followed when the folder is taken for the first time, and never again.

    Args:
        path: made if it is missing.
        shared: other processes may use it, too. It is not locked, a link of any user is followed, and it need not be
            listable.
    """

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path = path
        self._shared = shared
        self._real: Path | None = None
        self._descriptor: int | None = None
        self._identity = (-1, -1)
        self._beneath: frozenset[int] = frozenset()  # disks that appear in its place if its own is removed

    @property
    def descriptor(self) -> int:
        """The descriptor of the folder.

        Raises:
            StorageError: it is not held.
        """
        if self._descriptor is None:
            raise self.gone()
        return self._descriptor

    def reading(self) -> int:
        """A descriptor of this very folder of its own, to read with: for other threads, which must not use one that
        may be closed meanwhile.

        Raises:
            StorageError: it is not held, or its path leads elsewhere.
            OSError: the disk fails.
        """
        real, identity = self._real, self._identity
        if self._descriptor is None or real is None:
            raise self.gone()
        try:
            descriptor = os.open(real, FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            raise self.gone() from None
        if _identity(os.fstat(descriptor)) != identity:
            os.close(descriptor)
            raise self.gone()
        return descriptor

    def place(self) -> Path:
        """A path to this very folder, valid while it is held, for code that needs a path. A system without such paths
        gets the folder's own path.

        Raises:
            StorageError: it is not held.
        """
        place = Path(f"/proc/self/fd/{self.descriptor}")
        return place if place.is_dir() else self._real or self.path

    def take(self) -> None:
        """Hold the folder that ``path`` names now.

        Raises:
            StorageError: it cannot be made or opened; or its disk was removed after it was first held, so the path now
                leads to the disk underneath.
            UsageError: another process holds it.
        """
        self.release()
        try:
            real = self._real or self._first()
            for _ in range(_TRIES):
                self._make(real)
                descriptor = os.open(real, FOLDER | _NO_LIST if self._shared else FOLDER)
                identity = self._locked(real, descriptor)
                if identity is not None:
                    break
            else:
                raise FileNotFoundError(errno.ENOENT, "Something replaces it again and again")
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError.writing(self.path, error) from error
        self._real, self._descriptor, self._identity = real, descriptor, identity
        self._beneath = frozenset(_disk(above) for above in real.parents) - {identity[0]}

    def release(self) -> None:
        """Release it. May be called twice."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):  # nothing was written through this descriptor
                os.close(descriptor)

    def __enter__(self) -> LockedFolder:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def is_there(self) -> bool:
        """Whether it is held and its path still leads to it: it was not deleted, moved, replaced or mounted over.

        Raises:
            StorageError: the disk fails, so it is unknown.
        """
        if self._descriptor is None or self._real is None:
            return False
        try:
            return _identity(self._real.lstat()) == self._identity
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise StorageError.writing(self.path, error) from error

    def gone(self) -> StorageError:
        """The error for a folder that is not held, or that its path no longer leads to."""
        return StorageError(f"Cannot write {self.path}: it is gone. Remedy: bring it back, or choose another place.")

    def _first(self) -> Path:
        real = resolved(self.path)
        if self.path.is_symlink():
            if not is_dir(real):
                raise NotADirectoryError(errno.ENOTDIR, "It is a link that does not lead to a folder")
            if not self._shared and self.path.lstat().st_uid not in (0, os.geteuid()):
                raise PermissionError(errno.EACCES, "It is a link that belongs to another user")
        return real

    def _make(self, real: Path) -> None:
        if self._real is not None:
            nearest = next(each for each in (real, *real.parents) if os.path.lexists(each))
            if _disk(nearest) in self._beneath:
                raise OSError(errno.ENODEV, "Its disk is gone")
        make_folder(real)

    def _locked(self, real: Path, descriptor: int) -> tuple[int, int] | None:
        """Lock the folder and return its identity. If ``real`` now names another folder, close it and return None."""
        held = None
        try:
            if not self._shared:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            identity = _identity(os.fstat(descriptor))
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                held = identity if _identity(real.lstat()) == identity else None
        except BlockingIOError:
            raise UsageError(
                f"A folder of frames belongs to one process. Received: {self.path}, which another one uses. "
                "Remedy: stop that one, or choose another folder."
            ) from None
        finally:
            if held is None:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        return held


def sizes(folder: int, name: str) -> dict[str, int] | None:
    """Bytes of the regular file ``name`` in ``folder``. If ``name`` is a folder of regular files: bytes of each of
    them, and 0 for the folder itself, by the name ``""``. None if it does not exist, or is anything else, such as a
    link, a pipe or a folder of many files, which is not touched.

    Raises:
        PermissionError: this user may not look at it.
        OSError: the disk fails.
    """
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            return {name: found.st_size}
        if not stat.S_ISDIR(found.st_mode):
            return None
        inner = os.open(name, FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in _NOT_OURS:
            return None
        raise
    try:
        return _sizes_inside(inner)
    finally:
        os.close(inner)


def names(folder: int) -> Iterator[str]:
    """The names of everything in ``folder``.

    Raises:
        OSError: the disk fails.
    """
    with os.scandir(folder) as found:
        for each in found:
            yield each.name


def move(folder: int, name: str, to: str) -> None:
    """Rename inside ``folder``, never replacing anything.

    Raises:
        OSError: the disk fails, or ``to`` exists.
    """
    with contextlib.suppress(FileNotFoundError):
        os.stat(to, dir_fd=folder, follow_symlinks=False)  # no other quietcam works here: the folder is locked
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(name, to, src_dir_fd=folder, dst_dir_fd=folder)


def remove(folder: int, name: str) -> None:
    """Remove the file ``name`` in ``folder``, or the folder ``name`` with its files. No link is followed, and no folder
    inside it is entered.

    Raises:
        OSError: it cannot be removed, or does not exist.
    """
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    inner = os.open(name, FOLDER, dir_fd=folder)
    try:
        for each in list(names(inner)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)


_NOT_OURS = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}


def _sizes_inside(inner: int) -> dict[str, int] | None:
    found = {"": 0}
    with os.scandir(inner) as entries:
        for each in entries:
            try:
                there = each.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(there.st_mode) or len(found) > _MOST_FILES:
                return None
            found[each.name] = there.st_size
    return found


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _disk(path: Path) -> int:
    """Number of the disk that holds ``path``; -1 if that cannot be seen."""
    try:
        return path.lstat().st_dev
    except OSError:
        return -1
