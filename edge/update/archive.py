"""The archive of a bundle: a tar file of which every byte is determined by the files in it.

It is uncompressed, so it cannot grow when it is unpacked, and another zlib makes no other bytes. ``bundle.json`` comes
first and the other files follow in the order of their paths, each with the header that this module writes for its path
and its size. A reader thus knows every header before it reads it. A header that differs in one bit is refused: a link,
a device, an absolute path, ``..``, a duplicate, a sparse file and an extended header all differ.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edge.update.bundle import Bundle, read_bundle
from edge.update.contents import CONTENTS, Contents, parse_contents
from quietcam.errors import StorageError, UpdateError
from quietcam.files.atomic import atomic_path, sync_folder
from quietcam.files.strict_json import MOST_BYTES

__all__ = ["MOST_UNPACKED", "pack", "read_contents", "unpack"]

MOST_UNPACKED = 256 << 20
"""Bytes that a bundle may have by default. The largest that this project makes has less than 20 MiB."""

_SPARE = 16 << 20  # bytes that stay free on the disk
_BLOCK = 512
_CHUNK = 1 << 20
_END = bytes(2 * _BLOCK)
_REMEDY = "Remedy: fetch it again; if that does not help, ask whoever publishes the release."


def pack(folder: Path, archive: Path) -> Bundle:
    """Write a bundle's folder as an archive: the same files give the same bytes.

    Raises:
        UpdateError: the folder holds no valid bundle.
        StorageError: the archive cannot be written.
    """
    bundle = read_bundle(folder)
    with atomic_path(Path(archive)) as draft, draft.open("wb") as file:
        for path, size in _members(bundle.contents):
            file.write(_header(path, size))
            with (bundle.folder / path).open("rb") as source:
                shutil.copyfileobj(source, file, _CHUNK)
            file.write(bytes(-size % _BLOCK))
        file.write(_END)
    return bundle


def read_contents(archive: Path) -> Contents:
    """The ``bundle.json`` of an archive. No other file of it is looked at.

    Raises:
        UpdateError: it is no archive of a bundle.
    """
    with _opened(Path(archive)) as file:
        return _contents(file, Path(archive))[0]


def unpack(archive: Path, staging: Path, most: int = MOST_UNPACKED) -> Bundle:
    """Unpack an archive into the new folder ``staging``; nothing is written outside it.

    Every file is checked while it is written, and is on the disk (fsync) at the end. If anything fails, ``staging`` is
    removed again.

    Args:
        staging: must not exist; its parent must.
        most: bytes that the bundle may have.

    Raises:
        UpdateError: the archive is truncated, altered, larger than ``most``, or holds anything but the plain files of
            one bundle.
        StorageError: there is too little space, or the disk fails.
    """
    archive, staging = Path(archive), Path(staging)
    with _opened(archive) as file:
        contents, content = _contents(file, archive)
        total = len(content) + contents.size
        if total > most:
            raise _refused(archive, f"a bundle of {total} bytes, where {most} are allowed")
        expected = sum(_BLOCK + size + -size % _BLOCK for _, size in _members(contents)) + len(_END)
        if (size := os.fstat(file.fileno()).st_size) != expected:
            raise _refused(archive, f"{size} bytes instead of {expected}: it is truncated, or something follows it")
        try:
            if shutil.disk_usage(staging.parent).free < total + _SPARE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            staging.mkdir()
        except OSError as error:
            raise StorageError.writing(staging, error) from error
        try:
            for name in ("models", "golden"):
                (staging / name).mkdir()
            _write(staging / CONTENTS, iter([content]))
            for path, entry in sorted(contents.files.items()):
                _expect_header(file, archive, path, entry.size)
                digest = hashlib.sha256()
                _write(staging / path, _copied(file, archive, entry.size, digest))
                if digest.hexdigest() != entry.sha256:
                    raise _refused(archive, f"{path} with another SHA-256 than {CONTENTS} says")
                _expect_zeros(file, archive, -entry.size % _BLOCK)
            _expect_zeros(file, archive, len(_END))
            for folder in (staging / "models", staging / "golden", staging, staging.parent):
                sync_folder(folder)
            return read_bundle(staging)
        except BaseException as error:
            shutil.rmtree(staging, ignore_errors=True)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise StorageError.writing(staging, error) from error
            raise


def _members(contents: Contents) -> Iterator[tuple[str, int]]:
    """Path and size of each file, in the order of the archive."""
    yield CONTENTS, len(contents.to_bytes())
    for path, entry in sorted(contents.files.items()):
        yield path, entry.size


def _header(path: str, size: int) -> bytes:
    """A header of POSIX ustar: a plain file that its owner may write and all may read, without a date or an owner."""
    fields = [
        path.encode("ascii").ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,  # the checksum counts itself as spaces
        b"0" + bytes(100),
        b"ustar\x0000" + bytes(64),
        bytes(8 + 8 + 155 + 12),
    ]
    fields[4] = b"%06o\0 " % sum(b"".join(fields))
    return b"".join(fields)


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes]]:
    try:
        if not archive.is_file():
            raise UpdateError(f"A bundle's archive is a file. Received: {archive}. Remedy: check the path.")
        file = archive.open("rb")
    except OSError as error:
        raise _refused(archive, error.strerror or str(error)) from error
    with file:
        yield file


def _contents(file: IO[bytes], archive: Path) -> tuple[Contents, bytes]:
    """What the first member says, and its bytes. They must be those that this code writes for the same contents."""
    header = file.read(_BLOCK)
    try:
        size = int(header[124:135], 8) if header[124:135].isdigit() else -1
    except ValueError:
        size = -1
    if not 0 <= size <= MOST_BYTES or header != _header(CONTENTS, size):
        raise _odd(archive, header, CONTENTS)
    content = file.read(size)
    if len(content) < size:
        raise _refused(archive, "it is truncated")
    contents = parse_contents(content)
    if content != contents.to_bytes():
        raise _refused(archive, f"a {CONTENTS} that this format does not write in this way")
    _expect_zeros(file, archive, -size % _BLOCK)
    return contents, content


def _expect_header(file: IO[bytes], archive: Path, path: str, size: int) -> None:
    if (header := file.read(_BLOCK)) != _header(path, size):
        raise _odd(archive, header, path)


def _expect_zeros(file: IO[bytes], archive: Path, count: int) -> None:
    if file.read(count) != bytes(count):
        raise _refused(archive, "something where zeros must be")


def _copied(file: IO[bytes], archive: Path, size: int, digest: hashlib._Hash) -> Iterator[bytes]:
    left = size
    while left:
        part = file.read(min(left, _CHUNK))
        if not part:
            raise _refused(archive, "it is truncated")
        left -= len(part)
        digest.update(part)
        yield part


def _write(path: Path, parts: Iterator[bytes]) -> None:
    """Write a new file, and sync it. A file or a link that is there already is an error."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(handle, "wb") as file:  # noqa: PTH123  a descriptor
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(handle)


def _odd(archive: Path, header: bytes, path: str) -> UpdateError:
    """Say what is there in place of the member ``path``."""
    try:
        found = tarfile.TarInfo.frombuf(header, "ascii", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return _refused(archive, f"no header of a tar file where {path} must be")
    kind = next((word for is_kind, word in _KINDS.items() if getattr(found, is_kind)()), "an extended header")
    return _refused(archive, f"{found.name[:100]!a} ({kind}) where the plain file {path} must be")


_KINDS = {
    "isreg": "a file",
    "issym": "a symbolic link",
    "islnk": "a hard link",
    "isdir": "a folder",
    "isdev": "a device or pipe",
}


def _refused(archive: Path, why: str) -> UpdateError:
    return UpdateError(f"An archive holds the plain files of one bundle. Received: {archive}: {why}. {_REMEDY}")
