"""The video devices of a machine, with fake answers of the kernel."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from pathlib import Path

import pytest

from edge.cameras.base import NotReadyError
from edge.cameras.v4l2.devices import VideoDevice, current_size, list_devices, why_not
from quietcam.errors import DataError


def kernel(
    driver: bytes = b"uvcvideo",
    card: bytes = b"USB Camera",
    flags: int = 0x04200001,
    error: int = 0,
    busy: bool = False,
):  # type: ignore[no-untyped-def]
    """The answer of an ioctl on a device, by hand from linux/videodev2.h."""

    def ioctl(handle: int, request: int, content: bytearray) -> None:
        del handle
        if error:
            raise OSError(error, os.strerror(error))
        if request & 0xFF == 0:
            assert len(content) == request >> 16 & 0x3FFF == 104
            content[:] = struct.pack("16s32s32sIII12x", driver, card, b"usb", 0x60000, 0x84A00001, flags)
        else:
            assert len(content) == request >> 16 & 0x3FFF == 20
            if busy:
                raise OSError(errno.EBUSY, "busy")

    return ioctl


class TestVideoDevice:
    def test_the_devices_of_a_machine_by_number(self, tmp_path: Path) -> None:
        for name in ("video10", "video2", "video", "videos1"):
            (tmp_path / name).touch()
        found = list_devices(tmp_path, kernel())
        assert [each.path.name for each in found] == ["video2", "video10"]
        assert found[0] == VideoDevice(tmp_path / "video2", "uvcvideo", "USB Camera", captures=True, raw=False)
        assert list_devices(tmp_path, kernel(error=errno.EACCES)) == []

    def test_a_working_one_is_not_complained_of(self, device: Path) -> None:
        assert why_not(device, fully=True, ioctl=kernel()) is None

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (kernel(busy=True), "Another program uses .*fuser -v"),
            (kernel(error=errno.EBUSY), "Another program uses"),
            (kernel(error=errno.ENOTTY), "must support Video4Linux"),
            (kernel(error=errno.EIO), "cannot be opened.*unplug it and plug it in again"),
            (kernel(flags=0x04000002), "which does not"),
            (kernel(driver=b"unicam"), "set `source` to picamera2"),
        ],
    )
    def test_what_is_wrong_is_told_apart(self, device: Path, answer, says: str) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(DataError, match=says):
            raise why_not(device, fully=True, ioctl=answer) or AssertionError

    @pytest.mark.parametrize(
        ("mode", "group", "age", "says"),
        [
            (0o660, 44, 0.1, r"may not use .*usermod -aG \S+ \$USER, then log in again"),
            (0o660, 44, 1e6, r"may not use .*usermod -aG"),
            (0o600, 0, 60.0, "may not use .*udev rule"),
            (0o660, None, 60.0, "may not use .*DeviceAllow"),  # None: a group that this process is in
            (0o600, 0, 0.5, "does not let users open it yet"),
        ],
    )
    def test_the_owner_of_a_device_explains_why_it_cannot_be_read(
        self, device: Path, mode: int, group: int | None, age: float, says: str
    ) -> None:
        """udev has ten seconds. Nobody is in group 44 here."""
        number = os.getegid() if group is None else group
        node = os.stat_result((stat.S_IFCHR | mode, 1, 1, 1, 0, number, 0, 0, 0, 1000))
        told = why_not(device, ioctl=kernel(error=errno.EACCES), clock=lambda: 1000.0 + age, look=lambda _: node)
        assert re.search(says, str(told))
        assert isinstance(told, NotReadyError) == ("yet" in says)

    def test_the_size_that_a_device_is_set_to_is_asked_for(self, device: Path) -> None:
        """struct v4l2_format of linux/videodev2.h: the type, then width and height, aligned like a pointer."""

        def ioctl(handle: int, request: int, content: bytearray) -> None:
            del handle
            assert request & 0xFFFF == ord("V") << 8 | 4
            assert len(content) == request >> 16 & 0x3FFF
            assert struct.unpack_from("I", content) == (1,)
            struct.pack_into("II", content, struct.calcsize("P"), 1280, 720)

        assert current_size(device, ioctl) == (1280, 720)
        assert current_size(device, kernel(error=errno.EINVAL)) is None

    def test_one_without_permission_really(self, tmp_path: Path) -> None:
        if os.geteuid() == 0:
            pytest.skip("root may read everything")
        path = tmp_path / "video0"
        path.touch(0o000)
        assert list_devices(tmp_path) == []
