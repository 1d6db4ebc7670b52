"""Reads pictures in zip archives in place: nothing is unpacked to disk, and a harmful archive is refused."""

from __future__ import annotations

import contextlib
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from quietcam.data.pictures.files import decode_picture, is_picture
from quietcam.errors import DataError, UsageError
from quietcam.image import Image

__all__ = ["MOST_MEMBERS", "MOST_RATIO", "MOST_TOTAL", "Member", "is_archive", "list_members"]

MOST_MEMBERS = 100_000
"""Most members of an archive. SIDD-Small has 320 pictures, all of SIDD's sRGB frames 30,000 pairs."""

MOST_RATIO = 200
"""Most unpacked bytes for one packed byte. Pictures hardly shrink further; deflate reaches 1032 with zeros."""

MOST_TOTAL = 512 << 30
"""Most unpacked bytes of all members together."""

_MOST_PICTURE = 1 << 30  # bytes of one coded picture, which is held in memory
_MOST_DIRECTORY = 32 << 20  # bytes of the archive's own list of members
_SMALL = 1 << 20  # bytes; smaller members are harmless at any ratio
_TAIL = 22 + 65535  # the end record and the longest comment


@dataclass(frozen=True)
class Member:
    """One picture in an archive: a ``Source``, decoded from memory.

    Attributes:
        archive: path of the zip file.
        path: the member's name in it, with slashes.
        stamp: time of change (ns) and length (bytes) of the archive when it was listed.
        size: bytes of the picture's file.
        crc: its CRC-32, as the archive states it.
        stored: its name in the archive if that differs, as with Windows separators.
    """

    archive: Path
    path: str
    stamp: tuple[int, int]
    size: int
    crc: int
    stored: str = ""

    def __str__(self) -> str:
        return f"{self.archive}/{self.path}"

    @property
    def name(self) -> str:
        """Its file name."""
        return PurePosixPath(self.path).name

    def read(self) -> Image:
        """The picture, uint8 ``(H, W, 3)`` RGB.

        Raises:
            DataError: the member or the picture in it is damaged, or of a kind that cannot be used.
        """
        return decode_picture(self.read_bytes(), self)

    def read_bytes(self, count: int = -1) -> bytes:
        """The first ``count`` bytes of the picture's file, all where negative.

        Raises:
            DataError: they cannot be read.
        """
        try:
            with _opened(self.archive, self.stamp).open(self.stored or self.path) as file:
                # zipfile hands out no more than the size that was checked, and then compares the sum.
                return file.read(self.size if count < 0 else count)
        except NotImplementedError as error:
            raise DataError(
                f"An archive must be packed with store, deflate, bzip2 or lzma. Received: {self} ({error}). "
                "Remedy: unpack it and give the folder."
            ) from error
        except (OSError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise DataError(
                f"A picture in an archive must be whole. Received: {self} ({error or type(error).__name__}). "
                "Remedy: download the archive again."
            ) from error


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a zip archive by its name or its first bytes."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def list_members(path: Path) -> list[Member]:
    """List every file in the archive, sorted by name, after checking that the whole archive is harmless.

    Refused, in one line, are: members whose path is absolute or climbs out, links and other special files; more than
    ``MOST_MEMBERS`` members or ``MOST_TOTAL`` bytes, a member of over 1 MiB that grows more than ``MOST_RATIO`` times,
    overlapping members, encrypted members, and duplicate names.

    Raises:
        UsageError: there is no such file.
        DataError: the file is not a complete zip archive, or it is refused.
    """
    if not path.is_file():
        raise UsageError(f"An archive must be a file that exists. Received: {path}. Remedy: check the path.")
    try:
        status = path.stat()
        _check_directory(path)
        infos = _opened(path, (status.st_mtime_ns, status.st_size)).infolist()
    except (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        what = "a name in it is not text" if isinstance(error, UnicodeDecodeError) else error
        raise DataError(
            f"An archive must be a whole zip file. Received: {path} ({what}). Remedy: download it again."
        ) from error
    _check_sizes(path, infos, status.st_size)
    seen: set[str] = set()
    members = []
    stamp = (status.st_mtime_ns, status.st_size)
    for info in infos:
        _check_member(path, info)
        name = _readable(info)
        if name in seen:
            raise _refused(path, f"the name {info.filename!r} is in it twice")
        seen.add(name)
        if not name.endswith("/"):
            stored = "" if name == info.filename else info.filename
            members.append(Member(path, name, stamp, info.file_size, info.CRC, stored))
    return sorted(members, key=lambda member: member.path)


def _readable(info: zipfile.ZipInfo) -> str:
    """A member's name with slashes and its own letters.

    Some Windows archivers write Windows separators, which no Unix archiver uses in names. macOS and others write UTF-8
    without the flag for it, so the name is first decoded as code page 437.
    """
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


@lru_cache(maxsize=4)
def _opened(path: Path, stamp: tuple[int, int]) -> zipfile.ZipFile:  # noqa: ARG001  a changed file is opened again
    """The open archive. Its list of members is read once per process, not once per picture."""
    return zipfile.ZipFile(path)


def _check_directory(path: Path) -> None:
    """Check the length of the list of members before it is read (PKWARE's APPNOTE, 4.3.14 and 4.3.16)."""
    with path.open("rb") as file:
        length = file.seek(0, 2)
        start = max(0, length - _TAIL)
        file.seek(start)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or at + 22 > len(tail):
            raise zipfile.BadZipFile("it is cut short, or not a zip file")
        (size,) = struct.unpack_from("<I", tail, at + 12)
        locator = max(0, start + at - 20)
        file.seek(locator)
        signature, _, offset = struct.unpack("<4sIQ", file.read(20)[:16].ljust(16))
        if signature == b"PK\x06\x07":  # zip64: the length is in a separate record
            file.seek(min(offset, length))
            record = file.read(56)
            if record[:4] != b"PK\x06\x06" or len(record) < 56:
                raise zipfile.BadZipFile("its end record is damaged")
            (size,) = struct.unpack_from("<Q", record, 40)
    if size > _MOST_DIRECTORY:
        raise _refused(path, f"its list of members takes {size / 2**20:.0f} MiB; {_MOST_DIRECTORY >> 20} allowed")


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo], length: int) -> None:
    if len(infos) > MOST_MEMBERS:
        raise _refused(path, f"{len(infos)} members; {MOST_MEMBERS} allowed")
    total = sum(info.file_size for info in infos)
    if total > MOST_TOTAL:
        raise _refused(path, f"it would unpack to {total / 2**30:.0f} GiB; {MOST_TOTAL >> 30} allowed")
    for info in infos:
        if info.file_size > _SMALL and info.file_size > MOST_RATIO * info.compress_size:
            ratio = info.file_size / max(1, info.compress_size)
            raise _refused(path, f"{info.filename!r} would grow {ratio:.0f} times; {MOST_RATIO} allowed")
    if total > _SMALL and total > MOST_RATIO * length:
        raise _refused(path, f"it would grow {total / length:.0f} times; {MOST_RATIO} allowed")
    if sum(info.compress_size for info in infos) > length:
        raise _refused(path, "its members overlap")


def _check_member(path: Path, info: zipfile.ZipInfo) -> None:
    name = info.filename
    # Windows separators and drives too: the archive may be opened on Windows later.
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or (len(parts[0]) > 1 and parts[0][1] == ":"):
        raise _refused(path, f"{name!r} points outside of it")
    # Only Unix archivers store the kind of file in the upper half; 0 means "not stated".
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "not a plain file"
        raise _refused(path, f"{name!r} is {what}")
    if info.flag_bits & 1:
        raise _refused(path, f"{name!r} is encrypted")
    if info.file_size > _MOST_PICTURE and is_picture(PurePosixPath(name)):
        raise _refused(path, f"{name!r} would take {info.file_size / 2**30:.1f} GiB; {_MOST_PICTURE >> 30} allowed")


def _refused(path: Path, why: str) -> DataError:
    return DataError(
        f"An archive must be harmless to read. Received: {path} ({why}). "
        "Remedy: download it from where it was published, or give a folder of its pictures."
    )
