"""The ribbon-cable camera, with a stand-in for picamera2."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge.cameras import open_camera
from edge.cameras.picamera.camera import PicameraCamera, PicameraOptions, _taken
from edge.cameras.picamera.library import list_picameras
from edge.cameras.picamera.swapped import Channels
from edge.cameras.supervised import SupervisedCamera, WatchRules
from quietcam.errors import DataError, MissingExtraError, UsageError
from tests.edge.cameras.picamera.picamera2_stand_in import Sensor
from tests.edge.cameras.watched import Pulled
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
            frame.done()  # twice is allowed
        assert (sensor.opened, sensor.closed) == (1, 1)

    def test_the_isp_neither_denoises_nor_sharpens_and_that_is_said(
        self, sensor: Sensor, caplog: pytest.LogCaptureFixture
    ) -> None:
        with PicameraCamera(SMALL) as camera:
            assert camera.isp_denoise is False
            assert sensor.configured["controls"] == {"Sharpness": 0.0, "FrameRate": 30.0, "NoiseReductionMode": 0}
        assert "the ISP's denoiser off, its sharpness 0" in caplog.text
        with PicameraCamera(PicameraOptions.parse("size=64x48,denoise=hq,sharpness=2,fps=15")) as camera:
            assert camera.isp_denoise is True
            assert sensor.configured["controls"] == {"Sharpness": 2.0, "FrameRate": 15.0, "NoiseReductionMode": 2}

    def test_whether_it_denoises_is_not_known_without_a_switch(
        self, sensor: Sensor, caplog: pytest.LogCaptureFixture
    ) -> None:
        sensor.controls = ("Sharpness", "FrameRate")
        with PicameraCamera(SMALL) as camera:
            assert camera.isp_denoise is None
        said = caplog.text
        assert "no switch for the ISP's denoiser" in said
        assert "the ISP's denoiser unknown" in said

    def test_a_reader_that_returns_no_buffer_gets_copies_and_the_sensor_goes_on(self, sensor: Sensor) -> None:
        with PicameraCamera(SMALL) as camera:
            frames = [frame for frame, _ in zip(camera, range(30), strict=False)]
            assert [frame.index for frame in frames] == list(range(30))
            for frame in frames:
                np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(axis=0), sensor.scene, atol=1)
                frame.done()

    def test_closing_waits_for_frames_that_are_out(self, sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.cameras.picamera.camera._FRAME_WITHIN", WAIT)
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

    def test_swapped_channels_are_found_and_put_right(self, sensor: Sensor, caplog: pytest.LogCaptureFixture) -> None:
        sensor.swapped = True
        with PicameraCamera(SMALL) as camera:
            assert camera.channels is Channels.SWAPPED
            assert "swapped back" in caplog.text
            for frame, _ in zip(camera, range(8), strict=False):
                last = frame
        np.testing.assert_allclose(last.image.reshape(-1, 3).mean(axis=0), sensor.scene, atol=1)

    def test_right_channels_are_left_alone_and_the_white_balance_is_on_again(self, sensor: Sensor) -> None:
        with PicameraCamera(SMALL) as camera:
            assert camera.channels is Channels.RIGHT
        assert sensor.set["AwbEnable"] is True

    def test_in_the_dark_the_test_says_that_it_knows_nothing(
        self, sensor: Sensor, caplog: pytest.LogCaptureFixture
    ) -> None:
        sensor.scene = (0.0, 0.0, 0.0)
        with PicameraCamera(SMALL) as camera:
            assert camera.channels is Channels.UNKNOWN
        assert "too dark to test" in caplog.text

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
        monkeypatch.setattr("edge.cameras.picamera.camera._FRAME_WITHIN", 0.3)
        monkeypatch.setattr(PicameraCamera, "frozen_after", 0.3)
        rules = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.01, longest_pause=0.05, pulse=0.01)
        options = PicameraOptions(size=(64, 48), selftest=False)
        with Pulled(SupervisedCamera(lambda: PicameraCamera(options), rules)) as pulled:
            setattr(sensor, knob, True)
            if knob == "busy":  # another program took it while it was unplugged
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
