"""The camera that a command uses if the user names none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cameras.discover import find_camera
from edge.cameras.v4l2.devices import VideoDevice
from quietcam.errors import MissingExtraError, UsageError


class TestNoneNamed:
    USB = VideoDevice(Path("/dev/video2"), "uvcvideo", "USB Camera", captures=True, raw=False)
    RIBBON = VideoDevice(Path("/dev/video0"), "unicam", "unicam", captures=True, raw=True)
    SOUND = VideoDevice(Path("/dev/video1"), "uvcvideo", "metadata", captures=False, raw=False)

    @staticmethod
    def without() -> list[object]:
        raise MissingExtraError("apt install python3-picamera2")

    def test_picamera2_comes_first_then_the_first_device_with_pictures(self) -> None:
        assert find_camera(lambda: ["imx219"], lambda: [self.USB]) == "picamera2"
        assert find_camera(lambda: [], lambda: [self.RIBBON, self.SOUND, self.USB]) == "/dev/video2"
        assert find_camera(self.without, lambda: [self.RIBBON, self.SOUND, self.USB]) == "/dev/video2"

    def test_without_any_the_way_out_is_said(self) -> None:
        with pytest.raises(UsageError, match="synthetic, which simulates a camera"):
            find_camera(self.without, lambda: [self.SOUND])
        with pytest.raises(UsageError, match=r"ribbon cable.*python3-picamera2"):
            find_camera(self.without, lambda: [self.RIBBON])
