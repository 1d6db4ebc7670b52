"""Driver: the calls of a virtual camera: those of the kernel, or of a device in memory where there is no module."""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path
from typing import Protocol

from edge.cameras.v4l2.ioctls import QUERYCAP, S_FMT, S_PARM, Format

__all__ = ["Driver", "Kernel", "LoopbackInMemory"]


class Driver(Protocol):
    """Each call is that of the operating system of the same name, and raises OSError as it does."""

    def look(self, path: Path) -> os.stat_result: ...

    def open(self, path: Path) -> int: ...

    def ioctl(self, handle: int, request: int, content: bytearray) -> object: ...

    def write(self, handle: int, content: memoryview) -> int: ...

    def close(self, handle: int) -> None: ...


class Kernel:
    """The real one."""

    def look(self, path: Path) -> os.stat_result:
        return path.stat()

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, handle: int, request: int, content: bytearray) -> object:
        import fcntl

        return fcntl.ioctl(handle, request, content)

    def write(self, handle: int, content: memoryview) -> int:
        return os.write(handle, content)

    def close(self, handle: int) -> None:
        os.close(handle)


class LoopbackInMemory:
    """A device that answers as one of v4l2loopback does, for machines without that module.

    Change its attributes between the calls to play another program.

    Attributes:
        driver: the name that the device reports.
        writable: whether it takes pictures. With ``exclusive_caps=1`` it does not while another program writes.
        held: the format that a program reads it in; None: nobody reads, so a writer may choose.
        errors: for the names ``open``, ``format`` and ``write`` the number of the error that this call raises.
        format: the present format; None before the first.
        rate: frames a second that readers are told; None before the first format.
        pictures: what was written, the newest last.
        opened: how many handles are open.
    """

    _HANDLE = 10_000  # of no file

    def __init__(self, driver: str = "v4l2 loopback", writable: bool = True) -> None:
        self.driver = driver
        self.writable = writable
        self.held: Format | None = None
        self.errors: dict[str, int] = {}
        self.format: Format | None = None
        self.rate: float | None = None
        self.pictures: list[bytes] = []
        self.opened = 0

    def look(self, path: Path) -> os.stat_result:  # noqa: ARG002
        """A device that root and the group video may open."""
        return os.stat_result((stat.S_IFCHR | 0o660, 1, 1, 1, 0, 44, 0, 0, 0, 0))

    def open(self, path: Path) -> int:  # noqa: ARG002
        self._fail("open")
        self.opened += 1
        return self._HANDLE

    def ioctl(self, handle: int, request: int, content: bytearray) -> object:  # noqa: ARG002
        if request == QUERYCAP:
            flags = 0x05000000 | (0x2 if self.writable else 0x1)
            content[:] = struct.pack(
                "16s32s32sIII12x", self.driver.encode(), b"quietcam", b"", 0x60000, flags | 0x80000000, flags
            )
        elif request == S_FMT:
            self._fail("format")
            self.format = self.held or Format.unpack(content)
            content[:] = self.format.pack(struct.unpack_from("I", content)[0])
        elif request == S_PARM:
            below, above = struct.unpack_from("II", content, 12)
            self.rate = above / below
        else:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        return 0

    def write(self, handle: int, content: memoryview) -> int:  # noqa: ARG002
        self._fail("write")
        self.pictures.append(bytes(content))
        return len(content)

    def close(self, handle: int) -> None:  # noqa: ARG002
        self.opened -= 1

    def _fail(self, call: str) -> None:
        if number := self.errors.get(call):
            raise OSError(number, os.strerror(number))
