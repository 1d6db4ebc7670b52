"""LoopbackDevice: a device of v4l2loopback, from the side of the program that writes to it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import re
import time
from collections.abc import Iterable
from pathlib import Path

from edge.cameras.v4l2.devices import forbidden, list_devices, video_device
from edge.cameras.v4l2.ioctls import OUTPUT, QUERYCAP, S_FMT, S_PARM, Format, empty, frame_rate
from edge.sinks.virtual_camera.driver import Driver, Kernel
from quietcam.errors import DataError, QuietcamError, UsageError
from quietcam.image import Image

__all__ = ["LoopbackDevice", "free_number", "load_command"]

_PIXELS = "YUYV"


def load_command(number: int) -> str:
    """The command that loads the module with one device, ``/dev/videoNUMBER``."""
    return f"sudo modprobe v4l2loopback video_nr={number} exclusive_caps=1 card_label=quietcam"


def free_number(devices: Iterable[Path]) -> int:
    """The first number from 10 on that no device has. On a Raspberry Pi 4 the codecs have 10, too."""
    taken = {path.name for path in devices}
    return next(number for number in itertools.count(10) if f"video{number}" not in taken)


class LoopbackDevice:
    """A device of v4l2loopback.

    Args:
        path: such as ``/dev/video10``.
        driver: the calls to the kernel. Defaults to the real ones.

    Raises:
        UsageError: (when opened) it does not exist, or is no device of v4l2loopback.
        DataError: (when opened) this user may not use it, or another program writes to it.
    """

    def __init__(self, path: Path, driver: Driver | None = None) -> None:
        self.path = path
        self._driver = driver or Kernel()
        self._handle: int | None = None

    def open(self) -> None:
        """Open it for writing."""
        if self._handle is not None:
            return
        try:
            self._handle = self._driver.open(self.path)
        except OSError as error:
            raise self._why_closed(error) from error
        try:
            self._check(self._handle)
        except QuietcamError:
            self.close()
            raise

    def start(self, size: tuple[int, int], fps: float) -> tuple[int, int]:
        """Say what pictures will come.

        Args:
            size: ``(width, height)``, even.
            fps: frames a second, about.

        Returns:
            The size in which pictures must come: another one if a program reads the device in that size.

        Raises:
            DataError: another program writes to it, or it is read in another format of pixels.
        """
        assert self._handle is not None
        width, height = size
        content = Format(width, height, _PIXELS, 2 * width).pack(OUTPUT)
        try:
            self._driver.ioctl(self._handle, S_FMT, content)
        except OSError as error:
            raise self._in_use() if error.errno == errno.EBUSY else self._refused(error) from error
        given = Format.unpack(content)
        if given.pixels != _PIXELS or given.line != 2 * given.width:
            raise DataError(
                f"A virtual camera gets pictures in {_PIXELS}. Received: {self.path}, which another program has set to "
                f"{given.pixels}. Remedy: end the programs that use it; `fuser -v {self.path}` names them."
            )
        with contextlib.suppress(OSError):  # readers then count on 30 frames a second
            self._driver.ioctl(self._handle, S_PARM, frame_rate(OUTPUT, fps))
        return given.width, given.height

    def write(self, picture: Image) -> None:
        """Show a picture to whoever reads.

        Args:
            picture: uint8 ``(H, W, 2)`` YUYV in the size that ``start`` returned.

        Raises:
            DataError: the device does not take it.
        """
        assert self._handle is not None
        try:
            self._driver.write(self._handle, memoryview(picture.data).cast("B"))
        except OSError as error:
            raise self._in_use() if error.errno == errno.EBUSY else self._refused(error) from error

    def close(self) -> None:
        """May be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):  # all pictures were shown already
                self._driver.close(handle)

    def _check(self, handle: int) -> None:
        about = empty(QUERYCAP)
        try:
            self._driver.ioctl(handle, QUERYCAP, about)
        except OSError as error:
            raise self._no_loopback("which is no video device") from error
        device = video_device(self.path, about)
        if not device.loopback:
            raise self._no_loopback(f"a device of the driver {device.driver}")
        if not device.takes:
            raise self._in_use()

    def _why_closed(self, error: OSError) -> UsageError | DataError:
        if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOTDIR):
            return self._no_loopback("which does not exist")
        if error.errno in (errno.EACCES, errno.EPERM):
            node = self._driver.look(self.path)
            return forbidden(self.path, node, error, time.time() - node.st_ctime)
        if error.errno == errno.EBUSY:
            return self._in_use()
        if error.errno in (errno.EISDIR, errno.EINVAL):
            return self._no_loopback("which is no video device")
        return self._refused(error)

    def _no_loopback(self, found: str) -> UsageError:
        there = ", ".join(str(each.path) for each in list_devices() if each.loopback and each.path != self.path)
        wanted = re.fullmatch(r"/dev/video(\d+)", str(self.path)) if found.endswith("exist") else None
        load = load_command(int(wanted[1]) if wanted else free_number(Path("/dev").glob("video*")))
        remedy = f"choose {there}" if there else f"{load}; `quietcam doctor` says what is missing"
        return UsageError(
            f"A virtual camera is a device of the kernel's module v4l2loopback. Received: {self.path}, {found}. "
            f"Remedy: {remedy}."
        )

    def _in_use(self) -> DataError:
        return DataError(
            f"One program writes to a virtual camera. Received: {self.path}, which another one writes to. "
            f"Remedy: end that program (`fuser -v {self.path}` names it), or load v4l2loopback with more devices."
        )

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"The virtual camera {self.path} must take pictures. Received: {error.strerror or error}. "
            "Remedy: end the programs that use it, then load its module anew: sudo modprobe -r v4l2loopback"
        )
