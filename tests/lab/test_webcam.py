"""The lab's webcam without a kernel: the tests play the host of USB."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from lab.in_guest import webcam
from lab.in_guest.webcam import Connection, Webcam
from tests.waiting import WAIT

SIZES = {"MJPG": [(112, 48), (112, 64)], "YUYV": [(56, 16)]}


class Host:
    """The kernel's end of USB/IP (Documentation/usb/usbip_protocol.rst), written from that page."""

    def __init__(self, device: Webcam) -> None:
        self.link, theirs = socket.socketpair()
        self.link.settimeout(WAIT)
        self.connection = Connection(device, theirs)
        self._number = 0

    def submit(self, endpoint: int, inward: bool, length: int, setup: bytes = bytes(8), data: bytes = b"") -> int:
        self._number += 1
        head = struct.pack(">IIIII", 1, self._number, 0x10002, inward, endpoint)
        self.link.sendall(head + struct.pack(">IiiiI", 0, length, 0, 0, 0) + setup + data)
        return self._number

    def unlink(self, victim: int) -> int:
        self._number += 1
        self.link.sendall(struct.pack(">IIIIII24x", 2, self._number, 0x10002, 0, 0, victim))
        return self._number

    def returned(self, inward: bool = True) -> tuple[int, int, int, bytes]:
        """Command, number, status and data of the next answer."""
        command, number, status, length = struct.unpack_from(">II12xiI", self._read(48))
        data = self._read(length) if command == 3 and inward else b""
        return command, number, status, data

    def control(self, kind: int, request: int, value: int, index: int, wanted: int | bytes) -> tuple[int, bytes]:
        """Status and data of a control request, which reads bytes or hands some over."""
        inward = isinstance(wanted, int)
        length, data = (wanted, b"") if isinstance(wanted, int) else (len(wanted), wanted)
        setup = struct.pack("<BBHHH", kind, request, value, index, length)
        self.submit(0, inward, length, setup, data)
        _, _, status, said = self.returned(inward)
        return status, said

    def picture(self) -> bytes:
        """The bytes of the next whole picture; each transfer is asked for in turn."""
        data, toggle = b"", None
        while True:
            self.submit(1, True, 1024)
            said = self.returned()[3]
            assert said[0] == 2, "the header has two bytes"
            toggle = said[1] & 1 if toggle is None else toggle
            assert said[1] & 1 == toggle, "a picture begins before the last one is over"
            data += said[2:]
            if said[1] & 2:
                return data

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self.link.recv(length - len(data))
            assert part, "the device hung up"
            data += part
        return data


def host_of(device: Webcam) -> Iterator[Host]:
    host = Host(device)
    yield host
    host.link.close()


@pytest.fixture(params=[0x0100, 0x0110], ids=["1.0", "1.1"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    yield from host_of(Webcam(SIZES, request.param, fps=1000))


def parts(configuration: bytes) -> list[bytes]:
    """A configuration's descriptors; each begins with its length."""
    found = []
    while configuration:
        assert 2 < configuration[0] <= len(configuration)
        found.append(configuration[: configuration[0]])
        configuration = configuration[configuration[0] :]
    return found


def test_its_configuration_says_how_long_it_is_and_what_it_offers(host: Host) -> None:
    _, head = host.control(0x80, 6, 2 << 8, 0, 9)
    (total,) = struct.unpack_from("<H", head, 2)
    status, whole = host.control(0x80, 6, 2 << 8, 0, total)
    assert (status, len(whole)) == (0, total)
    found = parts(whole)
    # Class-specific headers tell the length of all that follows in their interface (UVC 1.5, tables 3-3 and 3-14).
    (control,) = [each for each in found if each[1:3] == b"\x24\x01" and each[0] == 13]
    assert struct.unpack_from("<H", control, 5)[0] == sum(len(each) for each in found[3:6])
    streaming = found.index(next(each for each in found[6:] if each[1:3] == b"\x24\x01"))
    assert struct.unpack_from("<H", found[streaming], 4)[0] == sum(len(each) for each in found[streaming:-1])
    sizes = [each for each in found[streaming:-1] if each[2] in (5, 7)]
    assert [(each[2], each[3], *struct.unpack_from("<HH", each, 5)) for each in sizes] == [
        (7, 1, 112, 48),
        (7, 2, 112, 64),
        (5, 1, 56, 16),
    ]
    assert found[-1] == bytes([7, 5, 0x81, 2, 0, 2, 0])  # bulk, inward, packets of 512 bytes


def test_its_names_are_read_as_the_kernel_reads_them(host: Host) -> None:
    texts = [host.control(0x80, 6, 3 << 8 | index, 0x409, 255)[1] for index in (1, 2, 3)]
    assert [each[2:].decode("utf-16-le") for each in texts] == ["Lab", "Lab webcam", "1"]
    assert all(each[0] == len(each) for each in texts)
    status, device = host.control(0x80, 6, 1 << 8, 0, 18)
    assert (status, device[0], len(device)) == (0, 18, 18)


def test_what_it_does_not_know_is_refused(host: Host) -> None:
    assert host.control(0xA1, 0x81, 0x0200, 0x0100, 2)[0] == -32  # of a unit that it does not have
    assert host.control(0x80, 6, 9 << 8, 0, 255)[0] == -32


def setting(kind: int, frame: int, length: int) -> bytes:
    return struct.pack("<HBBI", 1, kind, frame, 0).ljust(length, b"\0")


@pytest.mark.parametrize(("kind", "frame", "size"), [(1, 1, (112, 48)), (1, 2, (112, 64)), (2, 1, (56, 16))])
def test_it_sends_the_colors_in_the_format_and_size_that_are_set(
    host: Host, kind: int, frame: int, size: tuple[int, int]
) -> None:
    (length,) = struct.unpack("<H", host.control(0xA1, 0x85, 0x0100, 1, 2)[1])
    assert host.control(0x21, 0x01, 0x0100, 1, setting(kind, frame, length))[0] == 0
    probed = host.control(0xA1, 0x81, 0x0100, 1, length)[1]
    assert (probed[2], probed[3], len(probed)) == (kind, frame, length)
    assert host.control(0x21, 0x01, 0x0200, 1, probed)[0] == 0
    first, second = (rgb_of(host.picture(), kind, size) for _ in range(2))
    assert first.shape == (size[1], size[0], 3)
    middles = [first[:, int((n + 0.5) * size[0] / 7)].mean(0) for n in range(7)]
    assert np.abs(np.array(middles) - np.array(webcam.BARS)).max() < 15
    assert (first != second).any(), "a sensor's noise changes"


def rgb_of(data: bytes, kind: int, size: tuple[int, int]) -> Any:
    raw = np.frombuffer(data, np.uint8)
    if kind == 1:
        return cv2.imdecode(raw, cv2.IMREAD_COLOR)[..., ::-1]
    return cv2.cvtColor(raw.reshape(size[1], size[0], 2), cv2.COLOR_YUV2RGB_YUY2)


def test_a_setting_that_it_does_not_have_becomes_the_nearest(host: Host) -> None:
    host.control(0x21, 0x01, 0x0100, 1, setting(9, 9, 26))
    assert host.control(0xA1, 0x81, 0x0100, 1, 26)[1][2:4] == bytes([2, 1])


@pytest.fixture
def device() -> Webcam:
    return Webcam({"MJPG": [(64, 48)]}, fps=1000)


def test_each_kind_of_fault_is_one(device: Webcam) -> None:
    sound = [device.sends(number) for number in range(3)]
    assert len({*sound}) == 3
    device.mode = "still"
    assert len({device.sends(number) for number in range(3)}) == 1
    device.mode = "black"
    black = device.sends(0)
    assert black is not None
    assert rgb_of(black, 1, (64, 48)).max() < 4
    device.mode = "broken"
    assert sound[0] is not None
    assert device.sends(0) == sound[0][: len(sound[0]) // 2]
    device.mode = "garbage"
    garbage = device.sends(1)
    assert garbage is not None
    assert cv2.imdecode(np.frombuffer(garbage, np.uint8), cv2.IMREAD_COLOR) is None
    device.mode = "mute"
    assert device.sends(0) is None


def test_a_transfer_that_is_taken_back_is_answered_once(device: Webcam) -> None:
    device.mode = "mute"
    for host in host_of(device):
        waits = host.submit(1, True, 1024)
        taken_back = host.unlink(waits)
        assert host.returned()[:3] == (4, taken_back, -104)
        again = host.unlink(waits)
        assert host.returned()[:3] == (4, again, 0)
        device.mode = "live"
        assert host.picture()


def test_a_host_that_hangs_up_ends_both_threads(device: Webcam) -> None:
    host = Host(device)
    assert host.picture()
    host.link.close()
    with host.connection._changed:
        assert host.connection._changed.wait_for(lambda: host.connection._ended, WAIT)


def test_words_make_a_webcam() -> None:
    device = webcam.made(["YUYV=64x48,32x16", "uvc=1.1", "fps=5", "serial=7"])
    assert device.formats == [("YUYV", [(64, 48), (32, 16)])]
    assert (device.uvc, device.interval, device.serial) == (0x0110, 2_000_000, "7")
    assert [kind for kind, _ in webcam.made([]).formats] == ["MJPG", "YUYV"]
