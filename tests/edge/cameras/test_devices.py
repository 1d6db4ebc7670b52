"""The cameras at a device: picamera2 through a stand-in, video devices through what the kernel would answer."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras import open_camera, v4l2
from edge.cameras.base import NotReadyError
from edge.cameras.discover import find_camera
from edge.cameras.picamera import PicameraCamera, PicameraOptions, _taken, list_picameras
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.cameras.swapped import Channels
from edge.cameras.v4l2 import Device, V4l2Camera, V4l2Options, current_size, device_path, list_devices, why_not
from quietcam.errors import DataError, MissingExtraError, UsageError
from tests.edge.cameras.picamera2_stand_in import Sensor
from tests.edge.cameras.test_supervised import Pulled
from tests.waiting import WAIT, until

SMALL = PicameraOptions(size=(64, 48))


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> Sensor:
    sensor = Sensor()
    monkeypatch.setitem(sys.modules, "picamera2", sensor.module())
    return sensor


class TestPicamera:
    def test_frames_are_rgb_in_the_cameras_own_memory(self, sensor: Sensor) -> None:
        with PicameraCamera(SMALL) as camera:
            frame = next(iter(camera))
            assert frame.image.shape == (48, 64, 3)
            np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(axis=0), sensor.scene, atol=1)
            frame.done()
            assert (frame.image == 0xAA).all(), "it was a copy"
            frame.done()  # twice does no harm
        assert (sensor.opened, sensor.closed) == (1, 1)

    def test_the_isp_neither_denoises_nor_sharpens_and_that_is_said(
        self, sensor: Sensor, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with PicameraCamera(SMALL) as camera:
            assert camera.isp_denoise is False
            assert sensor.configured["controls"] == {"Sharpness": 0.0, "FrameRate": 30.0, "NoiseReductionMode": 0}
        assert "the ISP's denoiser off, its sharpness 0" in capsys.readouterr().err
        with PicameraCamera(PicameraOptions.parse("size=64x48,denoise=hq,sharpness=2,fps=15")) as camera:
            assert camera.isp_denoise is True
            assert sensor.configured["controls"] == {"Sharpness": 2.0, "FrameRate": 15.0, "NoiseReductionMode": 2}

    def test_whether_it_denoises_is_not_known_without_a_switch(
        self, sensor: Sensor, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sensor.controls = ("Sharpness", "FrameRate")
        with PicameraCamera(SMALL) as camera:
            assert camera.isp_denoise is None
        said = capsys.readouterr().err
        assert "no switch for the ISP's denoiser" in said
        assert "the ISP's denoiser unknown" in said

    def test_who_gives_nothing_back_gets_copies_and_the_sensor_goes_on(self, sensor: Sensor) -> None:
        with PicameraCamera(SMALL) as camera:
            frames = [frame for frame, _ in zip(camera, range(30), strict=False)]
            assert [frame.index for frame in frames] == list(range(30))
            for frame in frames:
                np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(axis=0), sensor.scene, atol=1)
                frame.done()

    def test_closing_waits_for_frames_that_are_out(self, sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.cameras.picamera._FRAME_WITHIN", WAIT)
        camera = PicameraCamera(SMALL)
        frame = next(iter(camera))
        closing = threading.Thread(target=camera.close)
        closing.start()
        time.sleep(0.05)
        assert sensor.closed == 0
        frame.done()
        closing.join()
        assert sensor.closed == 1

    @pytest.mark.parametrize("width", [64, 66])
    def test_the_small_stream_is_turned_into_rgb(self, sensor: Sensor, width: int) -> None:
        with PicameraCamera(PicameraOptions(size=(width, 48), stream="lores")) as camera:
            frame = next(iter(camera))
            assert frame.image.shape == (48, width, 3)
            assert sensor.configured["lores"] == {"size": (width, 48), "format": "YUV420"}
            np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(axis=0), sensor.scene, atol=4)
            np.testing.assert_allclose(frame.image[:, -2:].reshape(-1, 3).mean(axis=0), sensor.scene, atol=6)

    def test_swapped_channels_are_found_and_put_right(self, sensor: Sensor, capsys: pytest.CaptureFixture[str]) -> None:
        sensor.swapped = True
        with PicameraCamera(SMALL) as camera:
            assert camera.channels is Channels.SWAPPED
            assert "swapped back" in capsys.readouterr().err
            for frame, _ in zip(camera, range(8), strict=False):
                last = frame
        np.testing.assert_allclose(last.image.reshape(-1, 3).mean(axis=0), sensor.scene, atol=1)

    def test_right_channels_are_left_alone_and_the_white_balance_is_on_again(self, sensor: Sensor) -> None:
        with PicameraCamera(SMALL) as camera:
            assert camera.channels is Channels.RIGHT
        assert sensor.set["AwbEnable"] is True

    def test_in_the_dark_the_test_says_that_it_knows_nothing(
        self, sensor: Sensor, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sensor.scene = (0.0, 0.0, 0.0)
        with PicameraCamera(SMALL) as camera:
            assert camera.channels is Channels.UNKNOWN
        assert "too dark to test" in capsys.readouterr().err

    def test_the_test_can_be_left_out(self, sensor: Sensor) -> None:
        with PicameraCamera(PicameraOptions.parse("size=64x48,selftest=off")) as camera:
            assert camera.channels is Channels.UNKNOWN
        assert "ColourGains" not in sensor.set

    @pytest.mark.usefixtures("sensor")
    def test_time_stamps_are_those_of_the_sensor(self) -> None:
        with PicameraCamera(SMALL) as camera:
            before = time.monotonic()
            frame = next(iter(camera))
            assert before - 0.01 <= frame.timestamp <= time.monotonic()
            frame.done()

    def test_a_time_stamp_of_another_clock_is_not_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now, asleep = 5000.0, 70.0
        monkeypatch.setattr(time, "monotonic", lambda: now)
        monkeypatch.setattr(time, "clock_gettime", lambda _: now + asleep)
        assert _taken({}, now) == now
        assert _taken({"SensorTimestamp": 17}, now + 1000) == now + 1000
        assert _taken({"SensorTimestamp": (now + asleep - 0.5) * 1e9}, now) == pytest.approx(now - 0.5)

    def test_another_format_than_asked_for_is_refused(self, sensor: Sensor) -> None:
        sensor.other_format = "RGB888"
        with pytest.raises(DataError, match="format BGR888"), PicameraCamera(SMALL):
            pass
        assert sensor.closed == sensor.opened

    def test_what_keeps_it_from_opening_is_said(self, sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UsageError, match="libcamera sees 1"), PicameraCamera(PicameraOptions(camera=1)):
            pass
        sensor.busy = True
        with pytest.raises(DataError, match=r"Another program uses picamera2 0.*fuser"), PicameraCamera(SMALL):
            pass
        monkeypatch.setitem(sys.modules, "picamera2", None)
        with (
            pytest.raises(MissingExtraError, match=r"python3-picamera2.*--system-site-packages"),
            PicameraCamera(SMALL),
        ):
            pass

    def test_an_installation_that_breaks_at_another_numpy_is_explained(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "picamera2", raising=False)
        with pytest.raises(MissingExtraError, match=r"does not load.*numpy<2"):
            list_picameras()

    @pytest.mark.usefixtures("sensor")
    def test_it_is_watched_and_freezes_are_noticed(self) -> None:
        camera = open_camera("picamera2:camera=0", (64, 48), 12.0)
        assert isinstance(camera, SupervisedCamera)
        with camera:
            assert camera.isp_denoise is False
            frame = next(iter(camera))
            assert (camera.size, camera.fps, frame.image.shape) == ((64, 48), 12.0, (48, 64, 3))
        assert PicameraCamera.frozen_after is not None
        assert PicameraCamera.frozen_after < 5

    @pytest.mark.parametrize("knob", ["frozen", "stuck", "busy"])
    def test_what_happens_to_it_in_mid_run_is_noticed_and_mended(
        self, sensor: Sensor, knob: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.cameras.picamera._FRAME_WITHIN", 0.3)
        monkeypatch.setattr(PicameraCamera, "frozen_after", 0.3)
        rules = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.01, longest_pause=0.05, pulse=0.01)
        options = PicameraOptions(size=(64, 48), selftest=False)
        with Pulled(SupervisedCamera(lambda: PicameraCamera(options), rules)) as pulled:
            setattr(sensor, knob, True)
            if knob == "busy":  # somebody else took it while it was away
                sensor.stuck = True
                until(lambda: "Another program" in str(pulled.camera.state.reason))
                sensor.stuck = False
            until(lambda: pulled.camera.state.state == "lost")
            setattr(sensor, knob, False)
            until(lambda: pulled.camera.state.state == "live")
            for frame in list(pulled.frames):
                frame.done()
        until(lambda: sensor.closed == sensor.opened)

    @pytest.mark.parametrize("part", ["camera=-1", "stream=raw", "denoise=none", "sharpness=17", "selftest=yes"])
    def test_a_value_that_does_not_fit_is_named(self, part: str) -> None:
        with pytest.raises(UsageError, match=f"picamera2's {part.split('=')[0]} is .*{part}"):
            open_camera(f"picamera2:{part}")


def kernel(
    driver: bytes = b"uvcvideo",
    card: bytes = b"USB Camera",
    flags: int = 0x04200001,
    error: int = 0,
    busy: bool = False,
):  # type: ignore[no-untyped-def]
    """What an ioctl on a device answers: linux/videodev2.h, by hand."""

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


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that passes for a character device."""
    path = tmp_path / "video0"
    path.touch()
    monkeypatch.setattr(stat, "S_ISCHR", lambda _: True)
    return path


class TestVideoDevice:
    def test_the_devices_of_a_machine_by_number(self, tmp_path: Path) -> None:
        for name in ("video10", "video2", "video", "videos1"):
            (tmp_path / name).touch()
        found = list_devices(tmp_path, kernel())
        assert [each.path.name for each in found] == ["video2", "video10"]
        assert found[0] == Device(tmp_path / "video2", "uvcvideo", "USB Camera", captures=True, raw=False)
        assert list_devices(tmp_path, kernel(error=errno.EACCES)) == []

    def test_a_working_one_is_not_complained_of(self, device: Path) -> None:
        assert why_not(device, fully=True, ioctl=kernel()) is None

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (kernel(busy=True), "Another program uses .*fuser -v"),
            (kernel(error=errno.EBUSY), "Another program uses"),
            (kernel(error=errno.ENOTTY), "must know Video4Linux"),
            (kernel(error=errno.EIO), "cannot be opened.*plug it in anew"),
            (kernel(flags=0x04000002), "gives none"),
            (kernel(driver=b"unicam"), "--source picamera2"),
        ],
    )
    def test_what_is_wrong_is_told_apart(self, device: Path, answer, says: str) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(DataError, match=says):
            raise why_not(device, fully=True, ioctl=answer) or AssertionError

    @pytest.mark.parametrize(
        ("mode", "group", "age", "says"),
        [
            (0o660, 44, 0.1, r"may not read .*usermod -aG \S+ \$USER, then log in again"),
            (0o660, 44, 1e6, r"may not read .*usermod -aG"),
            (0o600, 0, 60.0, "may not read .*udev rule"),
            (0o660, None, 60.0, "may not read .*DeviceAllow"),  # None: a group that this process is in
            (0o600, 0, 0.5, "has not handed it over"),
        ],
    )
    def test_why_it_may_not_be_read_is_told_from_whose_it_is(
        self, device: Path, mode: int, group: int | None, age: float, says: str
    ) -> None:
        """udev is given ten seconds. Group 44 is nobody's here."""
        number = os.getegid() if group is None else group
        node = os.stat_result((stat.S_IFCHR | mode, 1, 1, 1, 0, number, 0, 0, 0, 1000))
        told = why_not(device, ioctl=kernel(error=errno.EACCES), clock=lambda: 1000.0 + age, look=lambda _: node)
        assert re.search(says, str(told))
        assert isinstance(told, NotReadyError) == ("handed" in says)

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

    def test_what_is_no_camera_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"no such video device.*plug the camera in|choose one of"):
            V4l2Camera(tmp_path / "video7").open()
        with pytest.raises(UsageError, match="which is none"):
            V4l2Camera(Path(__file__)).open()
        with pytest.raises(DataError, match="Video4Linux"):
            V4l2Camera(Path("/dev/null")).open()

    def test_options_and_numbers(self) -> None:
        assert device_path("3") == Path("/dev/video3")
        assert V4l2Options.parse("size=320x240,fps=15,format=mjpg") == V4l2Options((320, 240), 15.0, "MJPG")
        assert V4l2Options.parse("", V4l2Options((64, 48), 5.0)) == V4l2Options((64, 48), 5.0)
        for part in ("format=JPEG2000", "size=1", "fps=0"):
            with pytest.raises(UsageError, match=f"A video device's {part.split('=')[0]}"):
                open_camera(f"/dev/video0:{part}")
        camera = open_camera("0:size=320x240")
        assert (camera.name, camera.live) == ("/dev/video0", True)
        path = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0"
        for options in ("", ":fps=15,format=MJPG"):
            assert open_camera(path + options).name == path

    def test_it_is_asked_for_what_is_wanted_and_says_what_it_gives_instead(
        self, device: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """OpenCV's capture replaced: what is set, in which order, and the driver's time stamps."""
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
        assert (
            "gives 32x24 instead of 64x48, 30 frames a second instead of 15, YUYV instead of MJPG;"
            in capsys.readouterr().err
        )

    def test_without_a_size_the_devices_own_is_asked_for(self, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """OpenCV would ask for 640x480 on its own account."""
        asked = opencv(monkeypatch, device, (1280, 720), "MJPG")
        monkeypatch.setattr(v4l2, "current_size", lambda _: (1280, 720))
        with V4l2Camera(device) as camera:
            assert camera.size == (1280, 720)
        assert asked.set[:2] == [(cv2.CAP_PROP_FRAME_WIDTH, 1280), (cv2.CAP_PROP_FRAME_HEIGHT, 720)]

    def test_a_pixel_format_that_opencv_cannot_convert_is_refused(
        self, device: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = opencv(monkeypatch, device, (32, 24), "H264", converts=False)
        with pytest.raises(DataError, match=r"video0 with H264.*format=MJPG.*--list-formats-ext"):
            V4l2Camera(device, V4l2Options(format="H264")).open()
        assert asked.released == 1


class Asked:
    """What OpenCV's capture, replaced, was asked for."""

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


class TestNoneNamed:
    USB = Device(Path("/dev/video2"), "uvcvideo", "USB Camera", captures=True, raw=False)
    RIBBON = Device(Path("/dev/video0"), "unicam", "unicam", captures=True, raw=True)
    SOUND = Device(Path("/dev/video1"), "uvcvideo", "metadata", captures=False, raw=False)

    @staticmethod
    def without() -> list[object]:
        raise MissingExtraError("apt install python3-picamera2")

    def test_picamera2_comes_first_then_the_first_device_with_pictures(self) -> None:
        assert find_camera(lambda: ["imx219"], lambda: [self.USB]) == "picamera2"
        assert find_camera(lambda: [], lambda: [self.RIBBON, self.SOUND, self.USB]) == "/dev/video2"
        assert find_camera(self.without, lambda: [self.RIBBON, self.SOUND, self.USB]) == "/dev/video2"

    def test_without_any_the_way_out_is_said(self) -> None:
        with pytest.raises(UsageError, match="--source synthetic"):
            find_camera(self.without, lambda: [self.SOUND])
        with pytest.raises(UsageError, match=r"ribbon cable.*python3-picamera2"):
            find_camera(self.without, lambda: [self.RIBBON])


def test_a_size_cannot_be_asked_of_what_has_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for source in (str(tmp_path), "http://camera/stream"):
        with pytest.raises(UsageError, match=r"size"):
            open_camera(source, size=(64, 48))
    with pytest.raises(UsageError, match=r"rtsp://HOST"):
        open_camera("rtsp:///path")
