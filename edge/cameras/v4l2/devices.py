"""The video devices of this machine: their list, their settings, and the reason why one cannot be used."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.cameras.base import NotReadyError
from edge.cameras.v4l2.ioctls import CAPTURE, G_FMT, QUERYCAP, REQBUFS, Format, empty
from edge.raspberry_pi import RIBBON_CAMERA
from quietcam.errors import DataError, UsageError

__all__ = [
    "HANDED_OVER",
    "VideoDevice",
    "current_size",
    "device_path",
    "forbidden",
    "is_number",
    "list_devices",
    "unknown_reason",
    "video_device",
    "why_not",
]

# linux/videodev2.h
_VIDEO_CAPTURE, _VIDEO_OUTPUT, _STREAMING, _HAS_DEVICE_CAPS = 0x1, 0x2, 0x04000000, 0x80000000
_MEMORY_MMAP = 1
_LOOPBACK = "v4l2 loopback"  # the driver's name; its module is called v4l2loopback
HANDED_OVER = 10.0
"""Seconds after which udev has set the owner of a new device."""

_LARGEST_NUMBER = 63

Ioctl = Callable[[int, int, bytearray], Any]


@dataclass(frozen=True)
class VideoDevice:
    """A video device of this machine.

    Attributes:
        path: such as ``/dev/video0``.
        driver, card: the names that it reports.
        captures: whether it gives pictures.
        raw: whether it belongs to a camera at the ribbon cable, which needs libcamera.
        takes: whether a program may write pictures to it.
    """

    path: Path
    driver: str
    card: str
    captures: bool
    raw: bool
    takes: bool = False

    @property
    def loopback(self) -> bool:
        """Whether it is one of v4l2loopback: what one program writes to it, others read as a camera."""
        return self.driver == _LOOPBACK


def device_path(text: str) -> Path:
    """``/dev/video0`` for ``0``; a path is returned unchanged."""
    return Path(f"/dev/video{int(text)}") if is_number(text) else Path(text)


def is_number(text: str) -> bool:
    """Whether ``text`` is a number that a video device may have."""
    return re.fullmatch(r"[0-9]{1,4}", text) is not None and int(text) <= _LARGEST_NUMBER


def current_size(path: Path, ioctl: Ioctl | None = None) -> tuple[int, int] | None:
    """``(width, height)`` that a device is set to; None if it does not say."""
    about = empty(G_FMT)
    struct.pack_into("I", about, 0, CAPTURE)
    try:
        _call(path, G_FMT, about, ioctl)
    except OSError:
        return None
    own = Format.unpack(about)
    return (own.width, own.height) if own.width and own.height else None


def list_devices(folder: Path = Path("/dev"), ioctl: Ioctl | None = None) -> list[VideoDevice]:
    """The video devices of this machine by number, without those that cannot be queried."""
    numbered = [path for path in folder.glob("video*") if path.name[5:].isdigit()]
    asked = [_ask_device(path, ioctl) for path in sorted(numbered, key=lambda path: int(path.name[5:]))]
    return [device for device in asked if isinstance(device, VideoDevice)]


def why_not(
    path: Path,
    fully: bool = False,
    ioctl: Ioctl | None = None,
    clock: Callable[[], float] = time.time,
    look: Callable[[Path], os.stat_result] = Path.stat,
) -> UsageError | DataError | None:
    """The error that keeps a device from being used as a camera; None if there is no such error.

    Args:
        fully: also check whether another program uses it, by requesting its buffers; not allowed while it delivers.
        clock: returns seconds since 1970, for the age of the device.
        look: returns what the file system knows about a path, as ``os.stat``.
    """
    try:
        node = look(path)
    except OSError:
        there = ", ".join(str(device.path) for device in list_devices() if device.captures and not device.raw)
        return UsageError(
            f"There is no such video device. Received: {path}. "
            f"Remedy: {f'choose one of {there}' if there else 'plug the camera in; there is none now'}."
        )
    if not stat.S_ISCHR(node.st_mode):
        return UsageError(f"A video device is a device such as /dev/video0. Received: {path}, which is not a device.")
    asked = _ask_device(path, ioctl)
    if isinstance(asked, VideoDevice):
        if asked.raw:
            return DataError(
                f"A camera at the ribbon cable is read through picamera2. Received: {path} ({asked.driver}). "
                "Remedy: set `source` to picamera2."
            )
        if not asked.captures:
            return DataError(f"A camera must give pictures. Received: {path} ({asked.card}), which does not.")
        return _busy(path, ioctl) if fully else None
    if asked.errno in (errno.EACCES, errno.EPERM):
        return forbidden(path, node, asked, clock() - node.st_ctime)
    if asked.errno == errno.EBUSY:
        return _in_use(path)
    if asked.errno in (errno.ENOTTY, errno.EINVAL, errno.ENOSYS):  # the last one under emulation
        return DataError(f"A camera must support Video4Linux. Received: {path}, which does not.")
    return DataError(
        f"The camera {path} cannot be opened. Received: {asked.strerror}. Remedy: unplug it and plug it in again."
    )


def forbidden(path: Path, node: os.stat_result, error: OSError, age: float) -> DataError:
    """Why this user may not open a device that has been there for ``age`` seconds. Only root may open a new one until
    udev gives it to a group; on a slow machine that takes some seconds.
    """
    given = bool(node.st_mode & 0o066)
    if error.errno == errno.EACCES and not given and 0.0 <= age < HANDED_OVER:
        return NotReadyError(f"{path} has appeared, but the system does not let users open it yet")
    group = _group(node.st_gid)
    if error.errno == errno.EPERM or (given and node.st_gid in (os.getegid(), *os.getgroups())):
        remedy = "a service or a container blocks it: allow the device there (systemd: DeviceAllow=char-video4linux rw)"
    elif given:
        remedy = f"sudo usermod -aG {group} $USER, then log in again"
    else:
        remedy = f"sudo chgrp video {path} && sudo chmod 660 {path}; if that does not last, write a udev rule"
    return DataError(f"This user may not use {path}. Received: {error.strerror}. Remedy: {remedy}.")


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _ask_device(path: Path, ioctl: Ioctl | None) -> VideoDevice | OSError:
    about = empty(QUERYCAP)
    try:
        _call(path, QUERYCAP, about, ioctl)
    except OSError as error:
        return error
    return video_device(path, about)


def video_device(path: Path, about: bytes | bytearray) -> VideoDevice:
    """The device that has answered ``QUERYCAP`` with ``about``."""
    driver, card = (
        about[start : start + size].split(b"\0")[0].decode(errors="replace") for start, size in ((0, 16), (16, 32))
    )
    every, own = struct.unpack_from("II", about, 84)
    flags = own if every & _HAS_DEVICE_CAPS else every
    captures = bool(flags & _VIDEO_CAPTURE and flags & _STREAMING)
    takes = bool(flags & _VIDEO_OUTPUT)
    return VideoDevice(path, driver, card, captures, driver.lower().startswith(RIBBON_CAMERA), takes)


def _busy(path: Path, ioctl: Ioctl | None) -> DataError | None:
    """Request one buffer and give it back: the driver refuses while another program holds buffers."""
    try:
        _call(path, REQBUFS, bytearray(struct.pack("IIIII", 1, CAPTURE, _MEMORY_MMAP, 0, 0)), ioctl)
    except OSError as error:
        return _in_use(path) if error.errno == errno.EBUSY else None
    return None  # closing the device has given the buffer back


def _in_use(path: Path) -> DataError:
    return DataError(
        f"Another program uses the camera {path}. Received: device busy. "
        f"Remedy: end that program; `fuser -v {path}` names it."
    )


def unknown_reason(path: Path) -> DataError:
    return DataError(
        f"OpenCV cannot read the camera {path} and does not say why. "
        f"Remedy: look at its formats with: v4l2-ctl -d {path} --list-formats-ext"
    )


def _call(path: Path, request: int, content: bytearray, ioctl: Ioctl | None) -> None:
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        (ioctl or fcntl.ioctl)(handle, request, content)
    finally:
        os.close(handle)
