"""A stream that vanishes, falls silent and returns, over a real connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from edge.cameras.base import Camera
from edge.cameras.network.opencv_stream import OpencvStream
from edge.cameras.network.stream import stream_camera
from edge.cameras.network.url import CameraUrl
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.run.frame import Frame
from quietcam.errors import DataError
from tests.edge.cameras.mjpeg_server import mjpeg_camera
from tests.edge.cameras.watched import PATIENT, Pulled, until_frame
from tests.leaks import descriptors
from tests.small_models import picture
from tests.waiting import WAIT, until

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.fixture(params=["PyAV", "OpenCV"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "PyAV" and find_spec("av") is None:
        pytest.skip("needs the extra 'video'")
    monkeypatch.setattr("edge.cameras.network.stream.has_av", lambda: request.param == "PyAV")
    return str(request.param)


def stream(url: str) -> Camera:
    return stream_camera(CameraUrl.parse(url))


class TestStream:
    """A real stream over HTTP."""

    def test_frames_come_as_rgb_stamped_with_their_arrival(self) -> None:
        with mjpeg_camera() as server, stream(server.url) as camera:
            frame = next(iter(camera))
            red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
            assert frame.image.shape == (48, 64, 3)
            assert red > 120 > max(green, blue) + 40
            assert abs(time.monotonic() - frame.timestamp) < WAIT
            assert camera.size == (64, 48)

    def test_memory_is_used_again_once_a_frame_is_done(self) -> None:
        with mjpeg_camera() as server, stream(server.url) as camera:
            frames = iter(camera)
            addresses = set()
            for _ in range(10):
                frame = next(frames)
                addresses.add(frame.image.ctypes.data)
                frame.done()
            assert len(addresses) == 1

    def test_replugged_50_times_at_another_size_too(self) -> None:
        with mjpeg_camera() as server:
            with SupervisedCamera(lambda: stream(server.url), PATIENT) as camera:
                frames = iter(camera)
                until_frame(camera, frames, lambda _: True)
                before = descriptors()
                for number in range(1, 51):
                    server.unplug()
                    server.size = (64 + 16 * (number % 3), 48)
                    server.plug.set()
                    frame = until_frame(camera, frames, lambda _, number=number: camera.state.reopened == number)
                    assert frame.image.shape == (48, 64 + 16 * (number % 3), 3)
                until(lambda: descriptors() <= before + 2)
            until(lambda: not any(thread.name == "quietcam-reader" for thread in threading.enumerate()))

    def test_a_line_on_which_nothing_comes_is_noticed(self) -> None:
        with mjpeg_camera() as server, Pulled(SupervisedCamera(lambda: stream(server.url), PATIENT)) as pulled:
            server.silent = True
            pulled.camera._rules = replace(PATIENT, silence=0.3)
            until(lambda: pulled.camera.state.state == "lost")
            pulled.camera._rules = PATIENT
            server.silent = False
            until(lambda: pulled.camera.state.state == "live")
            server.unplug()

    def test_no_answer_and_no_video_are_told_apart_and_a_password_is_not_told(self) -> None:
        with mjpeg_camera() as server:
            elsewhere = server.url.replace("127", "user:secret@127").replace("/stream", "/nothing")
            with pytest.raises(DataError, match="answers without video") as caught, stream(elsewhere):
                pass
            assert "secret" not in str(caught.value)
        with pytest.raises(DataError, match=r"no answer from \S+ port \d+ ") as caught, stream(elsewhere):
            pass
        assert "secret" not in str(caught.value)


def test_the_rules_notice_within_five_seconds() -> None:
    rules = WatchRules()
    assert rules.silence + rules.pulse < 5
    assert (stream("http://camera/").frozen_after or 9) < 5


@pytest.mark.parametrize(("pictures", "says"), [(60, True), (40, False)])
def test_a_stream_that_is_black_from_its_start_is_told_once(
    pictures: int, says: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Interlaced streams look like this in OpenCV, which gives no error."""

    def frames(_: object) -> Iterator[Frame]:
        for number in range(200):
            image = picture(16, 16) if number >= pictures else np.zeros((16, 16, 3), np.uint8)
            yield Frame(image, 0.0, number)

    monkeypatch.setattr("edge.cameras.video_capture.VideoCaptureCamera.__iter__", frames)
    assert len(list(OpencvStream(CameraUrl.parse("rtsp://user:secret@camera/")))) == 200
    assert caplog.text.count("interlaced") == says
