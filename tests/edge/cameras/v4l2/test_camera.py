"""A video device as a camera, with OpenCV's capture replaced."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import open_camera
from edge.cameras.v4l2 import camera as v4l2
from edge.cameras.v4l2.camera import V4l2Camera, V4l2Options
from edge.cameras.v4l2.devices import device_path
from quietcam.errors import DataError, UsageError
from tests.waiting import WAIT


class Asked:
    """The settings that a fake of OpenCV's capture was asked for."""

    def __init__(self) -> None:
        self.set: list[tuple[int, float]] = []
        self.released = 0
        self.taken = time.monotonic() - 0.25  # the driver's time stamp


def opencv(
    monkeypatch: pytest.MonkeyPatch, device: Path, size: tuple[int, int], given: str, converts: bool = True
) -> Asked:
    """A device behind OpenCV that gives pictures of ``size`` in the pixel format ``given``, whatever it is asked."""
    asked = Asked()

    class Capture:
        def __init__(self, path: str, backend: int) -> None:
            assert (path, backend) == (str(device), cv2.CAP_V4L2)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def set(self, key: int, value: float) -> bool:
            asked.set.append((key, value))
            return converts

        def get(self, key: int) -> float:
            return {
                cv2.CAP_PROP_FRAME_WIDTH: float(size[0]),
                cv2.CAP_PROP_FRAME_HEIGHT: float(size[1]),
                cv2.CAP_PROP_FPS: 30.0,
                cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*given)),
                cv2.CAP_PROP_POS_MSEC: asked.taken * 1000,
            }[key]

        def read(self, image: object) -> tuple[bool, np.ndarray]:  # noqa: ARG002
            return True, np.full((size[1], size[0], 3), (1, 2, 3), np.uint8)

        def release(self) -> None:
            asked.released += 1

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(v4l2, "why_not", lambda *_, **__: None)
    return asked


class TestVideoCamera:
    def test_what_is_no_camera_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"no such video device.*plug the camera in|choose one of"):
            V4l2Camera(tmp_path / "video7").open()
        with pytest.raises(UsageError, match="which is not a device"):
            V4l2Camera(Path(__file__)).open()
        with pytest.raises(DataError, match="Video4Linux"):
            V4l2Camera(Path("/dev/null")).open()

    def test_options_and_numbers(self) -> None:
        assert device_path("3") == Path("/dev/video3")
        assert V4l2Options.parse("size=320x240,fps=15,format=mjpg") == V4l2Options((320, 240), 15.0, "MJPG")
        assert V4l2Options.parse("", V4l2Options((64, 48), 5.0)) == V4l2Options((64, 48), 5.0)
        for part in ("format=JPEG2000", "format=Y1", "format=Y 16", "size=1", "fps=0"):
            with pytest.raises(UsageError, match=f"A video device's {part.split('=')[0]}"):
                open_camera(f"/dev/video0:{part}")
        camera = open_camera("0:size=320x240")
        assert (camera.name, camera.live) == ("/dev/video0", True)
        path = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0"
        for options in ("", ":fps=15,format=MJPG"):
            assert open_camera(path + options).name == path

    def test_it_is_asked_for_what_is_wanted_and_says_what_it_gives_instead(
        self, device: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a fake of OpenCV's capture: the settings, their order, and the driver's time stamps."""
        asked = opencv(monkeypatch, device, (32, 24), "YUYV")
        taken = asked.taken
        monkeypatch.setattr("edge.cameras.video_capture._BELIEVED", WAIT)
        with V4l2Camera(device, V4l2Options((64, 48), 15.0, "MJPG")) as camera:
            frame = next(iter(camera))
        assert asked.set == [
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
            (cv2.CAP_PROP_FRAME_WIDTH, 64),
            (cv2.CAP_PROP_FRAME_HEIGHT, 48),
            (cv2.CAP_PROP_FPS, 15.0),
            (cv2.CAP_PROP_CONVERT_RGB, 1),
        ]
        assert asked.released == 1
        assert (camera.size, camera.fps) == ((32, 24), 30.0)
        assert frame.timestamp == pytest.approx(taken, abs=1e-3)
        assert frame.image[0, 0].tolist() == [3, 2, 1]
        assert "gives 32x24 instead of 64x48, 30 frames a second instead of 15, YUYV instead of MJPG;" in caplog.text

    def test_without_a_size_the_devices_own_is_asked_for(self, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """OpenCV would ask for 640x480 by itself."""
        asked = opencv(monkeypatch, device, (1280, 720), "MJPG")
        monkeypatch.setattr(v4l2, "current_size", lambda _: (1280, 720))
        with V4l2Camera(device) as camera:
            assert camera.size == (1280, 720)
        assert asked.set[:2] == [(cv2.CAP_PROP_FRAME_WIDTH, 1280), (cv2.CAP_PROP_FRAME_HEIGHT, 720)]

    def test_a_format_of_three_characters_ends_with_a_space(
        self, device: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        asked = opencv(monkeypatch, device, (32, 24), "Y16 ")
        options = V4l2Options.parse("format=y16")
        with V4l2Camera(device, options):
            assert (cv2.CAP_PROP_FOURCC, int.from_bytes(b"Y16 ", "little")) in asked.set
        assert "instead of" not in caplog.text

    def test_a_pixel_format_that_opencv_cannot_convert_is_refused(
        self, device: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = opencv(monkeypatch, device, (32, 24), "H264", converts=False)
        with pytest.raises(DataError, match=r"video0 with H264.*format=MJPG.*--list-formats-ext"):
            V4l2Camera(device, V4l2Options(format="H264")).open()
        assert asked.released == 1
