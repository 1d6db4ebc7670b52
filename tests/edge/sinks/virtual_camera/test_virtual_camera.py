"""The virtual camera on a device in memory: formats, sizes, colors, and what is wrong with a device.

The kernel's own v4l2loopback takes part in the lab: ``make lab SCENARIO=virtual_camera``.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.discover import find_camera
from edge.cameras.v4l2.devices import VideoDevice
from edge.cameras.v4l2.ioctls import Format
from edge.run.frame import Frame
from edge.sinks import open_sink
from edge.sinks.pace import Pace
from edge.sinks.targets import checked_targets
from edge.sinks.virtual_camera.driver import LoopbackInMemory
from edge.sinks.virtual_camera.sink import VirtualCameraSink
from edge.sinks.ycbcr import to_yuyv
from quietcam.errors import DataError, QuietcamError, UsageError
from quietcam.image import Image
from tests.small_models import picture

PATH = Path("/dev/video10")


def camera(device: LoopbackInMemory, before_after: bool = False) -> VirtualCameraSink:
    return VirtualCameraSink(PATH, 12.5, before_after, driver=device)


def show(sink: VirtualCameraSink, *pictures: Image) -> None:
    for index, each in enumerate(pictures):
        sink.write(Frame(each, index / 25, index), each)


def rgb(content: bytes, width: int) -> np.ndarray:
    """What OpenCV, as a reader, makes of a picture in YUYV."""
    return cv2.cvtColor(np.frombuffer(content, np.uint8).reshape(-1, width, 2), cv2.COLOR_YUV2RGB_YUYV)


def flat(red: int, green: int, blue: int, height: int = 8, width: int = 8) -> Image:
    return np.full((height, width, 3), (red, green, blue), np.uint8)


class TestYuyv:
    @pytest.mark.parametrize(
        ("color", "y", "cb", "cr"),
        [
            # ITU-R BT.601 and BT.814: bars of 100 %, in 8 bits.
            ((255, 255, 255), 235, 128, 128), ((0, 0, 0), 16, 128, 128), ((255, 0, 0), 81, 90, 240),
            ((0, 255, 0), 145, 54, 34), ((0, 0, 255), 41, 240, 110), ((255, 255, 0), 210, 16, 146),
        ],
    )  # fmt: skip
    def test_colors_are_those_of_the_standard(self, color: tuple[int, int, int], y: int, cb: int, cr: int) -> None:
        packed = to_yuyv(flat(*color)).astype(int)
        assert np.abs(packed[:, ::2] - (y, cb)).max() <= 1
        assert np.abs(packed[:, 1::2] - (y, cr)).max() <= 1

    def test_a_reader_sees_the_colors(self) -> None:
        """Random colors, two pixels each: OpenCV's own conversion brings them back."""
        pairs = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8).repeat(2, axis=1)
        back = rgb(to_yuyv(pairs).tobytes(), 64)
        assert np.abs(back.astype(int) - pairs).max() <= 3

    def test_two_pixels_share_the_mean_of_their_colors(self) -> None:
        mixed = flat(255, 0, 0)
        mixed[:, 1::2] = (0, 0, 255)
        packed = to_yuyv(mixed).astype(int)
        assert np.abs(packed[0, :2, 1] - ((90 + 240) / 2, (240 + 110) / 2)).max() <= 1
        assert np.abs(packed[0, :2, 0] - (81, 41)).max() <= 1


class TestFrames:
    def test_each_frame_is_written_in_the_format_that_was_announced(self) -> None:
        device = LoopbackInMemory()
        pictures = [picture(20, 30, seed=each) for each in range(3)]
        with camera(device) as sink:
            show(sink, *pictures)
        assert device.format == Format(30, 20, "YUYV", 60)
        assert device.rate == 12.5
        assert device.pictures == [to_yuyv(each).tobytes() for each in pictures]
        assert (sink.frames, device.opened) == (3, 0)

    def test_the_noisy_frame_on_the_left(self) -> None:
        device = LoopbackInMemory()
        with camera(device, before_after=True) as sink:
            sink.write(Frame(flat(255, 0, 0), 0.0, 0), flat(0, 0, 255))
        both = rgb(device.pictures[0], 16)
        assert both[0, 0].argmax() == 0
        assert both[0, -1].argmax() == 2

    def test_an_odd_side_gets_one_more_row_or_column_and_gray_becomes_color(self) -> None:
        device = LoopbackInMemory()
        with camera(device) as sink:
            show(sink, np.full((7, 9, 1), 100, np.uint8))
        assert device.format == Format(10, 8, "YUYV", 20)
        assert np.abs(rgb(device.pictures[0], 10).astype(int) - 100).max() <= 1

    def test_frames_of_another_size_are_scaled_since_readers_keep_theirs(self) -> None:
        device = LoopbackInMemory()
        with camera(device) as sink:
            show(sink, flat(9, 200, 30), flat(9, 200, 30, 16, 24))
        assert device.pictures[0] == device.pictures[1]

    def test_a_reader_that_stayed_keeps_its_size(self, caplog: pytest.LogCaptureFixture) -> None:
        """quietcam was restarted with another size; its viewer did not notice."""
        device = LoopbackInMemory()
        device.held = Format(16, 12, "YUYV", 32)
        with camera(device) as sink:
            show(sink, flat(9, 200, 30), flat(9, 200, 30))
        assert [len(each) for each in device.pictures] == [16 * 12 * 2] * 2
        assert caplog.text.count("reads it in 16x12") == 1

    def test_after_a_failure_it_is_opened_anew(self) -> None:
        device = LoopbackInMemory()
        sink = camera(device)
        sink.open()
        device.errors["write"] = errno.ENODEV
        with pytest.raises(DataError, match=r"must take pictures.*modprobe -r"):
            show(sink, flat(1, 2, 3))
        sink.close()
        device.errors.clear()
        with sink:
            show(sink, flat(1, 2, 3, 4, 4))
        assert device.format == Format(4, 4, "YUYV", 8)

    def test_a_file_is_shown_at_its_speed(self) -> None:
        waits: list[float] = []

        class Stopped(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                waits.append(timeout or 0.0)
                return False

        pace = Pace(Stopped(), lambda: 100.0)
        for seconds in (0.0, 0.04, 2.0, 50.0, 50.5):  # the leap by 48 s is left out
            pace.wait_for(seconds)
        assert waits == pytest.approx([0.0, 0.04, 2.0, 0.0, 0.5])


class TestWrongDevices:
    @pytest.mark.parametrize(
        ("call", "number", "error", "says"),
        [
            (
                "open",
                errno.ENOENT,
                UsageError,
                r"/dev/video10, which does not exist.*modprobe .* video_nr=10",
            ),
            ("open", errno.ENXIO, UsageError, r"which does not exist"),
            ("open", errno.EACCES, DataError, r"may not use /dev/video10.*usermod -aG"),
            ("open", errno.EPERM, DataError, r"may not use /dev/video10.*DeviceAllow"),
            ("open", errno.EBUSY, DataError, r"another one writes to.*fuser -v /dev/video10"),
            ("open", errno.EIO, DataError, os.strerror(errno.EIO)),
            ("format", errno.EBUSY, DataError, r"another one writes to"),
            ("format", errno.EINVAL, DataError, r"must take pictures"),
            ("write", errno.EBUSY, DataError, r"another one writes to"),
        ],
    )
    def test_what_is_wrong_is_told_apart(self, call: str, number: int, error: type[QuietcamError], says: str) -> None:
        device = LoopbackInMemory()
        device.errors[call] = number
        with pytest.raises(error, match=says), camera(device) as sink:
            show(sink, flat(1, 2, 3))
        assert device.opened == 0

    def test_a_camera_is_no_loopback(self) -> None:
        device = LoopbackInMemory(driver="uvcvideo", writable=False)
        with pytest.raises(UsageError, match=r"Received: /dev/video10, a device of the driver uvcvideo\. Remedy: sudo"):
            camera(device).check()
        assert device.opened == 0

    def test_another_program_writes_to_it(self) -> None:
        with pytest.raises(DataError, match="another one writes to"):
            camera(LoopbackInMemory(writable=False)).check()

    def test_another_format_of_pixels(self) -> None:
        device = LoopbackInMemory()
        device.held = Format(16, 12, "NV12", 16)
        with pytest.raises(DataError, match=r"set to NV12\. Remedy"), camera(device) as sink:
            show(sink, flat(1, 2, 3))

    def test_files_and_devices_that_are_no_video_devices(self) -> None:
        """Through the real kernel."""
        for path, found in (("/dev/null", "no video device"), ("/dev/video4711", "not exist"), ("/dev/", "no video")):
            with pytest.raises(UsageError, match=f"Received: {Path(path)}, which.*{found}"):
                VirtualCameraSink(Path(path)).check()


class TestNames:
    def test_devices_are_told_from_folders(self) -> None:
        sink = open_sink("/dev/video10", live=True)
        assert isinstance(sink, VirtualCameraSink)
        assert sink.name == "/dev/video10"
        for folder in ("/dev/shm/frames/", "dev/video10"):
            assert not isinstance(open_sink(folder, live=True), VirtualCameraSink)

    @pytest.mark.parametrize("source", ["/dev/video10", "10", "/dev/video10:size=64x48"])
    def test_it_is_not_the_source(self, source: str) -> None:
        with pytest.raises(UsageError, match="must not be the source"):
            checked_targets(source, ["/dev/video10"])
        assert checked_targets("/dev/video0:fps=5", ["/dev/video10"]) == ["/dev/video10"]

    def test_it_is_not_found_as_the_camera(self) -> None:
        """Without a source quietcam would show its own pictures to itself."""
        own = VideoDevice(PATH, "v4l2 loopback", "quietcam", captures=True, raw=False, takes=True)
        usb = VideoDevice(Path("/dev/video11"), "uvcvideo", "USB Camera", captures=True, raw=False)
        assert find_camera(list, lambda: [own, usb]) == "/dev/video11"
        with pytest.raises(UsageError, match="must be plugged in"):
            find_camera(list, lambda: [own])


def test_the_requests_are_those_of_the_kernels_header() -> None:
    """By hand from linux/videodev2.h, for a machine of 64 bits."""
    content = Format(640, 480, "YUYV", 1280).pack(2)
    if struct.calcsize("P") != 8:
        pytest.skip("the offsets below are those of 64 bits")
    assert len(content) == 208
    fields = struct.unpack_from("I4xII4sIIII", content)
    assert fields == (2, 640, 480, b"YUYV", 1, 1280, 614400, 8)
    assert Format.unpack(content) == Format(640, 480, "YUYV", 1280)
