"""Cameras that vanish, freeze, hang and come back: with a camera in the test's hands, and with a real stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.base import Camera
from edge.cameras.network import NetworkCamera, without_password
from edge.cameras.supervised import Stillness, SupervisedCamera, WatchRules
from edge.frame import Frame
from quietcam.errors import DataError, UsageError
from tests.edge.conftest import picture
from tests.edge.mjpeg_server import mjpeg_camera
from tests.waiting import WAIT, until

QUICK = WatchRules(silence=0.2, opening=0.5, first_pause=0.005, longest_pause=0.02, proven=0.0, pulse=0.01)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = set(threading.enumerate()), descriptors()
    yield
    until(lambda: set(threading.enumerate()) <= before[0], "a thread is left")
    assert descriptors() <= before[1] + 1  # OpenCV may open one for itself, once


class Device:
    """What the plugs of the cameras it makes hang on."""

    def __init__(self) -> None:
        self.there = True
        self.returns = False  # after one attempt to open it while it is gone
        self.size = (8, 6)
        self.frozen = False
        self.wake: threading.Event | None = None  # while set to an event, reading hangs until it comes
        self.dark = False
        self.number = 0  # of the picture, which a frozen one keeps when it is opened again
        self.opened = self.closed = 0

    def make(self) -> Camera:
        return _Camera(self)


class _Camera(Camera):
    name = "device"
    live = True
    frozen_after = 0.15

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device
        self._stopped = False

    @property
    def size(self) -> tuple[int, int]:
        return self._device.size

    def open(self) -> None:
        if not self._device.there:
            self._device.there = self._device.returns
            raise DataError("no such device")
        self._device.opened += 1

    def __iter__(self) -> Iterator[Frame]:
        device = self._device
        while not self._stopped:
            if device.wake is not None:
                device.wake.wait(WAIT)
            if not device.there:
                raise DataError("gone")
            width, height = device.size
            device.number += not device.frozen
            image = picture(height, width, seed=device.number)
            yield Frame(image * 0 if device.dark else image, time.monotonic(), device.number)
            time.sleep(0.002)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._device.closed += 1


def until_frame(camera: SupervisedCamera, frames: Iterator[Frame], when: Callable[[Frame], bool]) -> Frame:
    deadline = time.monotonic() + WAIT
    for frame in frames:
        frame.done()
        assert time.monotonic() < deadline, camera.state
        if when(frame):
            return frame
    raise AssertionError("the frames ended")


class Pulled:
    """A camera whose frames are taken by a thread, as the pipeline does."""

    def __init__(self, camera: SupervisedCamera) -> None:
        self.camera = camera
        self.frames: list[Frame] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for frame in self.camera:
            self.frames.append(frame)

    def __enter__(self) -> Pulled:
        self.camera.open()
        self._thread.start()
        until(lambda: bool(self.frames))
        return self

    def __exit__(self, *exception: object) -> None:
        self.camera.stop()
        self._thread.join()
        self.camera.close()


def test_unplugged_and_replugged_50_times_at_another_size_too(capsys: pytest.CaptureFixture[str]) -> None:
    device = Device()
    device.returns = True
    with SupervisedCamera(device.make, replace(QUICK, silence=WAIT, opening=WAIT)) as camera:
        frames = iter(camera)
        until_frame(camera, frames, lambda _: True)
        for number in range(1, 51):
            device.there = False
            device.size = (8 + number % 3, 6)
            frame = until_frame(camera, frames, lambda _, number=number: camera.state.reopened == number)
            assert frame.image.shape == (6, 8 + number % 3, 3)
        assert camera.state.state == "live"
        assert camera.state.reason == "no such device"
        assert camera.size == (8 + 50 % 3, 6)
        index, dropped = frame.index, camera.dropped
        taken = device.number
        until(lambda: device.number > taken + 5)  # nobody takes them
        later = next(frames)
        assert camera.dropped > dropped
        assert later.index == index + 1 + camera.dropped - dropped
    assert device.opened == 51
    until(lambda: device.closed >= 51)
    said = capsys.readouterr().err
    assert said.count("device is lost: gone") == 50
    assert said.count("device is back after") == 50


def test_it_is_lost_since_the_last_frame_and_live_since_the_first_one() -> None:
    device = Device()
    with Pulled(SupervisedCamera(device.make, QUICK)) as pulled:
        began = pulled.camera.state.since
        assert abs(began - time.time()) < WAIT
        time.sleep(0.05)
        device.there = False
        until(lambda: pulled.camera.state.state == "lost")
        lost = pulled.camera.state
        assert began < lost.since <= time.time()
        assert (lost.reopened, lost.reason) == (0, "gone")
        time.sleep(0.05)
        assert pulled.camera.state.since == lost.since
        device.there = True
        until(lambda: pulled.camera.state.state == "live")
        assert pulled.camera.state.since > lost.since
        assert pulled.camera.state.reopened == 1


@pytest.mark.parametrize("kind", ["frozen", "hangs"])
def test_one_that_freezes_without_an_error_is_noticed_and_opened_again(kind: str) -> None:
    device, wake = Device(), threading.Event()
    with Pulled(SupervisedCamera(device.make, QUICK)) as pulled:
        if kind == "frozen":
            device.frozen = True
        else:
            device.wake = wake
        until(lambda: pulled.camera.state.state == "lost")
        assert ("same picture" if kind == "frozen" else "no frame for") in str(pulled.camera.state.reason)
        device.frozen, device.wake = False, None
        until(lambda: pulled.camera.state.state == "live")
        wake.set()
        taken = len(pulled.frames)
        until(lambda: len(pulled.frames) > taken)


def test_a_frozen_picture_is_not_shown_as_live_again() -> None:
    device = Device()
    with Pulled(SupervisedCamera(device.make, QUICK)) as pulled:
        device.frozen = True
        until(lambda: pulled.camera.state.state == "lost")
        taken, opened = len(pulled.frames), device.opened
        until(lambda: device.opened > opened + 2)
        assert len(pulled.frames) == taken
        assert pulled.camera.state.reopened == 0


def test_what_hangs_is_left_alone_and_no_third_thread_is_started() -> None:
    device, wake = Device(), threading.Event()
    with Pulled(SupervisedCamera(device.make, QUICK)) as pulled:
        device.wake = wake
        until(lambda: "two readers hang" in str(pulled.camera.state.reason))
        time.sleep(0.2)
        readers = [thread for thread in threading.enumerate() if thread.name == "quietcam-reader"]
        assert len(readers) == 2
        assert device.closed == 0, "a camera was closed while its driver was inside"
        device.wake = None
        wake.set()
        until(lambda: pulled.camera.state.state == "live")
        until(lambda: device.closed == 2)


@pytest.mark.parametrize("why", ["dark", "allowed"])
def test_the_same_picture_is_no_freeze_where_no_noise_can_be_seen_or_it_is_allowed(why: str) -> None:
    device = Device()
    device.dark, device.frozen = why == "dark", why == "allowed"
    with Pulled(SupervisedCamera(device.make, QUICK, allow_still=why == "allowed")) as pulled:
        time.sleep(0.4)  # twice the time after which it would be noticed
        assert pulled.camera.state.state == "live"
        assert pulled.camera.state.reopened == 0


def test_the_first_attempt_fails_loudly() -> None:
    device = Device()
    device.there = False
    with pytest.raises(DataError, match="no such device"), SupervisedCamera(device.make, QUICK):
        pass


def test_close_and_stop_may_be_called_twice_and_without_frames() -> None:
    device = Device()
    camera = SupervisedCamera(device.make, QUICK)
    camera.close()
    assert device.opened == 0
    camera = SupervisedCamera(device.make, QUICK)
    camera.open()
    for _ in range(2):
        camera.stop()
        camera.close()
    assert list(camera) == []


class TestStillness:
    def test_seconds_count_from_the_first_of_the_same_pictures(self) -> None:
        still = Stillness()
        image = picture(40, 50)
        assert [still.seconds(image, now) for now in (1.0, 2.0, 4.5)] == [0.0, 1.0, 3.5]
        assert still.seconds(picture(40, 50, seed=1), 5.0) == 0.0
        assert still.seconds(image, 6.0) == 0.0

    def test_one_pixel_that_no_sample_sees_is_a_change(self) -> None:
        still = Stillness()
        image = picture(100, 100)
        other = image.copy()
        other[1, 1] ^= 1
        times = [still.seconds(each, float(now)) for now, each in enumerate((image, image, image, other, other, other))]
        assert times == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]

    def test_black_and_white_do_not_count(self) -> None:
        still = Stillness()
        image = np.full((40, 40, 3), 255, np.uint8)
        image[:20] = 3
        assert [still.seconds(image, now) for now in (1.0, 9.0)] == [0.0, 0.0]
        image[:20, :20] = 90
        assert [still.seconds(image, now) for now in (10.0, 19.0)] == [0.0, 9.0]


class TestStream:
    """A real stream over HTTP, through OpenCV."""

    def test_frames_come_as_rgb_stamped_with_their_arrival(self) -> None:
        with mjpeg_camera() as server, NetworkCamera(server.url) as camera:
            frame = next(iter(camera))
            red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
            assert frame.image.shape == (48, 64, 3)
            assert red > 120 > max(green, blue) + 40
            assert abs(time.monotonic() - frame.timestamp) < WAIT
            assert camera.size == (64, 48)

    def test_memory_is_used_again_once_a_frame_is_done(self) -> None:
        with mjpeg_camera() as server, NetworkCamera(server.url) as camera:
            frames = iter(camera)
            addresses = set()
            for _ in range(10):
                frame = next(frames)
                addresses.add(frame.image.ctypes.data)
                frame.done()
            assert len(addresses) == 1

    def test_replugged_50_times_at_another_size_too(self) -> None:
        rules = WatchRules(first_pause=0.005, longest_pause=0.02, proven=0.0, pulse=0.01)
        with mjpeg_camera() as server:
            with SupervisedCamera(lambda: NetworkCamera(server.url), rules) as camera:
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
        rules = WatchRules(silence=0.3, first_pause=0.01, longest_pause=0.05, pulse=0.01)
        with mjpeg_camera() as server, Pulled(SupervisedCamera(lambda: NetworkCamera(server.url), rules)) as pulled:
            server.silent = True
            until(lambda: pulled.camera.state.state == "lost")
            server.silent = False
            until(lambda: pulled.camera.state.state == "live")
            server.unplug()

    def test_no_answer_and_no_video_are_told_apart_and_a_password_is_not_told(self) -> None:
        with mjpeg_camera() as server:
            elsewhere = server.url.replace("127", "user:secret@127").replace("/stream", "/nothing")
            with pytest.raises(DataError, match="answers without any") as caught, NetworkCamera(elsewhere):
                pass
            assert "secret" not in str(caught.value)
        with pytest.raises(DataError, match=r"port \d+ does not") as caught, NetworkCamera(elsewhere):
            pass
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera:554/live", "rtsp://camera:554/live"),
        ("rtsp://user:secret@camera/live?size=vga", "rtsp://***@camera/live?size=***"),
        ("http://camera/cgi?user=me&pwd=secret", "http://camera/cgi?user=***&pwd=***"),
        ("rtsp://user:sec/ret?@camera/live", "rtsp://***@camera/live"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://camera:port/", "http://camera:99999/", "http://:80/", "ftp://a"]
)
def test_what_is_no_url_of_a_camera_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="http://HOST"):
        NetworkCamera(url)


def test_the_rules_notice_within_five_seconds() -> None:
    rules = WatchRules()
    assert rules.silence + rules.pulse < 5
    assert (NetworkCamera("http://camera/").frozen_after or 9) < 5
