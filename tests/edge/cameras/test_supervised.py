"""Cameras that vanish, freeze, hang and come back: with a camera in the test's hands, and with a real stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.base import Camera, NotReadyError
from edge.cameras.discover import FoundCamera
from edge.cameras.network.stream import NetworkCamera
from edge.cameras.network.url import CameraUrl
from edge.cameras.supervised import Stillness, SupervisedCamera, WatchRules
from edge.run.frame import Frame
from quietcam.errors import DataError, MissingExtraError, UsageError
from tests.edge.cameras.mjpeg_server import mjpeg_camera
from tests.edge.conftest import picture
from tests.leaks import descriptors
from tests.waiting import WAIT, until

# A busy machine is silent too: a camera is given up for it where a test is about silence alone.
PATIENT = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.005, longest_pause=0.02, proven=0.0, pulse=0.01)
SLOW = replace(PATIENT, first_pause=1e6, longest_pause=1e6)  # nobody lives that long


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
        self.hanging = 0  # cameras that do
        self.dark = False
        self.number = 0  # of the picture, which a frozen one keeps when it is opened again
        self.opened = self.closed = 0
        self.refusal: Exception | None = None  # what opening raises instead, if anything
        self.node: object = None  # what the file system shows of it

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

    def plug(self) -> object:
        return self._device.node

    def open(self) -> None:
        if self._device.refusal is not None:
            raise self._device.refusal
        if not self._device.there:
            self._device.there = self._device.returns
            raise DataError("no such device")
        self._device.opened += 1

    def __iter__(self) -> Iterator[Frame]:
        device = self._device
        while True:
            if (wake := device.wake) is not None:
                device.hanging += 1
                wake.wait()
            if self._stopped:
                return
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
    with SupervisedCamera(device.make, PATIENT) as camera:
        frames = iter(camera)
        until_frame(camera, frames, lambda _: True)
        for number in range(1, 51):
            device.there = False
            device.size = (8 + number % 3, 6)
            frame = until_frame(camera, frames, lambda _, number=number: camera.state.reopened == number)
            assert frame.image.shape == (6, 8 + number % 3, 3)
        assert camera.state.state == "live"
        assert camera.state.reason == "gone"  # why it was lost, not what an attempt to open it met
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
    device.node = ("first",)
    with Pulled(SupervisedCamera(device.make, SLOW)) as pulled:
        began = pulled.camera.state.since
        assert abs(began - time.time()) < WAIT
        time.sleep(0.05)
        device.node, device.there = (), False
        until(lambda: pulled.camera.state.state == "lost")
        lost = pulled.camera.state
        assert began < lost.since <= time.time()
        assert (lost.reopened, lost.reason) == (0, "gone")
        time.sleep(0.05)
        assert pulled.camera.state.since == lost.since
        device.there, device.node = True, ("again",)
        until(lambda: pulled.camera.state.state == "live")
        assert pulled.camera.state.since > lost.since
        assert pulled.camera.state.reopened == 1


@pytest.mark.parametrize("kind", ["frozen", "hangs"])
def test_one_that_freezes_without_an_error_is_noticed_and_opened_again(kind: str) -> None:
    device, wake = Device(), threading.Event()
    with Pulled(SupervisedCamera(device.make, PATIENT)) as pulled:
        if kind == "frozen":
            device.frozen = True
        else:
            device.wake = wake
            until(lambda: device.hanging)
            pulled.camera._rules = replace(PATIENT, silence=0.2)
        until(lambda: pulled.camera.state.state == "lost")
        assert ("same picture" if kind == "frozen" else "no frame for") in str(pulled.camera.state.reason)
        pulled.camera._rules = PATIENT
        device.frozen, device.wake = False, None
        wake.set()
        until(lambda: pulled.camera.state.state == "live")
        taken = len(pulled.frames)
        until(lambda: len(pulled.frames) > taken)


def test_a_frozen_picture_is_not_shown_as_live_again() -> None:
    device = Device()
    with Pulled(SupervisedCamera(device.make, PATIENT)) as pulled:
        device.frozen = True
        until(lambda: pulled.camera.state.state == "lost")
        taken, opened = len(pulled.frames), device.opened
        until(lambda: device.opened > opened + 2)
        assert len(pulled.frames) == taken
        assert pulled.camera.state.reopened == 0


def test_what_hangs_is_left_alone_and_no_third_thread_is_started() -> None:
    device, wake = Device(), threading.Event()
    with Pulled(SupervisedCamera(device.make, PATIENT)) as pulled:
        device.wake = wake
        until(lambda: device.hanging)
        pulled.camera._rules = replace(PATIENT, silence=0.2)
        until(lambda: "two readers hang" in str(pulled.camera.state.reason))
        attempts = pulled.camera._attempts
        until(lambda: pulled.camera._attempts > attempts + 9)
        readers = [thread for thread in threading.enumerate() if thread.name == "quietcam-reader"]
        assert len(readers) == 2
        assert device.closed == 0, "a camera was closed while its driver was inside"
        pulled.camera._rules = PATIENT
        device.wake = None
        wake.set()
        until(lambda: pulled.camera.state.state == "live")
        until(lambda: device.closed == 2)


@pytest.mark.parametrize("why", ["dark", "allowed"])
def test_the_same_picture_is_no_freeze_where_no_noise_can_be_seen_or_it_is_allowed(why: str) -> None:
    device = Device()
    device.dark, device.frozen = why == "dark", why == "allowed"
    with Pulled(SupervisedCamera(device.make, PATIENT, allow_still=why == "allowed")) as pulled:
        frames = pulled.frames
        until(lambda: frames[-1].timestamp - frames[0].timestamp > 2 * _Camera.frozen_after)
        assert pulled.camera.state.state == "live"
        assert pulled.camera.state.reopened == 0


def test_the_first_attempt_fails_loudly() -> None:
    device = Device()
    device.there = False
    with pytest.raises(DataError, match="no such device"), SupervisedCamera(device.make, PATIENT):
        pass


def test_close_and_stop_may_be_called_twice_and_without_frames() -> None:
    device = Device()
    camera = SupervisedCamera(device.make, PATIENT)
    camera.close()
    assert device.opened == 0
    camera = SupervisedCamera(device.make, PATIENT)
    camera.open()
    for _ in range(2):
        camera.stop()
        camera.close()
    assert list(camera) == []


def test_one_that_is_plugged_in_again_is_tried_at_once() -> None:
    """However short it lived, and however long the pause had become: its node is another one."""
    device = Device()
    device.node = ("first",)
    with Pulled(SupervisedCamera(device.make, replace(SLOW, proven=1e6))) as pulled:
        for number in range(3):
            device.node, device.there = (), False
            until(lambda: pulled.camera.state.state == "lost")
            device.there, device.node = True, ("again", number)
            until(lambda: pulled.camera.state.state == "live")
        assert pulled.camera.state.reopened == 3


def test_attempts_are_counted_anew_once_it_is_plugged_in() -> None:
    """Whatever the pause had become, the attempt behind the first one, which fails, follows soon."""
    device = Device()
    device.node = ("first",)
    rules = replace(PATIENT, first_pause=0.01, longest_pause=1e6, proven=1e6)
    with Pulled(SupervisedCamera(device.make, rules)) as pulled:
        pulled.camera._attempts = 40  # so the next pause would last for ten minutes
        device.node, device.there = (), False
        until(lambda: pulled.camera.state.state == "lost")
        device.returns = True
        device.node = ("again",)
        until(lambda: pulled.camera.state.state == "live")


def test_one_that_the_system_has_not_handed_over_is_not_ready_yet() -> None:
    """It is asked for again soon, the pause does not grow, and what is said of why it was lost stays true."""
    device = Device()
    rules = replace(PATIENT, first_pause=0.001, longest_pause=1e6, handing_over=0.001)
    with Pulled(SupervisedCamera(device.make, rules)) as pulled:
        asked = []

        class AskedError(NotReadyError):
            def __init__(self) -> None:
                asked.append(1)
                super().__init__("not handed over")

        device.there = False
        until(lambda: pulled.camera.state.state == "lost")
        pulled.camera._make = lambda: _NotReady(device, AskedError)
        until(lambda: len(asked) > 40)  # doubled so often, a pause would last for ever
        assert "not handed over" not in str(pulled.camera.state.reason)
        device.there, pulled.camera._make = True, lambda: _Camera(device)
        until(lambda: pulled.camera.state.state == "live")
        assert pulled.camera.state.reason == "gone"


class _NotReady(_Camera):
    def __init__(self, device: Device, error: type[Exception]) -> None:
        super().__init__(device)
        self._error = error

    def open(self) -> None:
        raise self._error()


class TestWaiting:
    """A camera that is not there at the start."""

    @staticmethod
    def waiting(device: Device) -> SupervisedCamera:
        camera = SupervisedCamera(device.make, replace(PATIENT, longest_pause=0.005))
        camera.wait = True
        return camera

    def test_it_is_waited_for_and_said_so(self, capsys: pytest.CaptureFixture[str]) -> None:
        device, found = Device(), []
        device.there = False
        camera = self.waiting(device)
        camera.on_found = found.append
        camera.open()
        assert (camera.state.state, camera.state.waiting) == ("lost", True)
        assert camera.state.reason == "waiting for a camera: no such device"
        taken: list[Frame] = []
        pulling = threading.Thread(target=lambda: taken.extend(camera))
        pulling.start()
        time.sleep(0.05)
        assert camera.state.waiting
        assert not taken
        device.there = True
        until(lambda: bool(taken))
        assert (camera.state.state, camera.state.waiting, camera.state.reopened) == ("live", False, 0)
        assert camera.state.reason is None
        assert (found, camera.size) == ([(8, 6)], (8, 6))
        camera.stop()
        pulling.join(WAIT)
        camera.close()
        said = capsys.readouterr().err
        assert "Waiting for a camera: no such device" in said
        assert "device is there, 8x6" in said

    def test_each_reason_is_said_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        """First it is not ready, then this user may not read it; a log of days does not fill up."""
        device = Device()
        asked: list[str] = []
        reasons = ["not ready", "not ready", "may not read"] + [f"odd {number}" for number in range(99)]

        class Refused(_Camera):
            def open(self) -> None:
                asked.append(reasons[min(len(asked), len(reasons) - 1)])
                raise DataError(asked[-1])

        camera = SupervisedCamera(lambda: Refused(device), PATIENT)
        camera.wait = True
        camera.open()
        pulling = threading.Thread(target=lambda: list(camera))
        pulling.start()
        until(lambda: len(asked) > 20)
        camera.stop()
        pulling.join(WAIT)
        camera.close()
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Waiting")]
        assert said[:2] == ["Waiting for a camera: not ready", "Waiting for a camera: may not read"]
        assert len(said) == len(set(said)) == 8

    def test_a_stop_ends_the_wait_at_once(self) -> None:
        device = Device()
        device.there = False
        camera = SupervisedCamera(device.make, SLOW)
        camera.wait = True
        camera.open()
        threading.Timer(0.05, camera.stop).start()
        assert list(camera) == []
        camera.close()

    def test_what_no_wait_can_mend_is_an_error(self) -> None:
        device = Device()
        device.refusal = MissingExtraError("apt install python3-picamera2")
        with pytest.raises(MissingExtraError), self.waiting(device):
            pass

    def test_none_named_is_the_first_that_appears(self, tmp_path: Path) -> None:
        device, there = Device(), []

        def find() -> str:
            if not there:
                raise UsageError("plug one in")
            return str(there[0])

        made: list[str] = []

        def make(source: str) -> Camera:
            made.append(source)
            return _Camera(device)

        camera = SupervisedCamera(lambda: FoundCamera(make, find, tmp_path), SLOW)
        camera.wait = True
        with camera:
            assert camera.state.reason == "waiting for a camera: plug one in"
            frames = iter(camera)
            threading.Timer(0.05, lambda: (there.append("/dev/video3"), (tmp_path / "video3").touch())).start()
            next(frames)
            assert (made, camera.name) == (["/dev/video3"], "device")


class TestStillness:
    def test_seconds_count_from_the_first_of_the_same_pictures(self) -> None:
        """From the first that was summed, the second one of them; it takes three sums."""
        still = Stillness()
        image = picture(40, 50)
        times = [still.seconds(image, now) for now in (1.0, 2.0, 4.5, 5.0, 9.0)]
        assert times == [0.0, 0.0, 0.0, 3.0, 7.0]
        assert still.seconds(picture(40, 50, seed=1), 9.5) == 0.0
        assert still.seconds(image, 10.0) == 0.0

    def test_equal_samples_of_different_pictures_are_no_freeze_and_are_not_counted(self) -> None:
        """A slow camera, whose samples are equal for long while the rest moves; then two equal pictures, 4 s apart."""
        still = Stillness()
        image = picture(100, 100)
        moving = []
        for number in range(5):
            moving.append(image.copy())
            moving[-1][1, 1] = number  # between the samples
        told = [still.seconds(each, 4.0 * number) for number, each in enumerate([*moving, moving[-1]])]
        assert told == [0.0] * 6

    def test_one_pixel_that_no_sample_sees_is_a_change(self) -> None:
        still = Stillness()
        image = picture(100, 100)
        other = image.copy()
        other[1, 1] ^= 1
        times = [still.seconds(each, float(now)) for now, each in enumerate([image] * 5 + [other] * 4)]
        assert times == [0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 2.0, 3.0]

    def test_black_and_white_do_not_count(self) -> None:
        still = Stillness()
        image = np.full((40, 40, 3), 255, np.uint8)
        image[:20] = 3
        assert [still.seconds(image, now) for now in (1.0, 9.0)] == [0.0, 0.0]
        image[:20, :20] = 90
        assert [still.seconds(image, now) for now in (10.0, 11.0, 12.0, 19.0)] == [0.0, 0.0, 0.0, 8.0]


def stream(url: str) -> NetworkCamera:
    return NetworkCamera(CameraUrl.parse(url))


class TestStream:
    """A real stream over HTTP, through OpenCV."""

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
            with pytest.raises(DataError, match="answers without any") as caught, stream(elsewhere):
                pass
            assert "secret" not in str(caught.value)
        with pytest.raises(DataError, match=r"port \d+ does not") as caught, stream(elsewhere):
            pass
        assert "secret" not in str(caught.value)


def test_the_rules_notice_within_five_seconds() -> None:
    rules = WatchRules()
    assert rules.silence + rules.pulse < 5
    assert (stream("http://camera/").frozen_after or 9) < 5


@pytest.mark.parametrize(("pictures", "says"), [(60, True), (40, False)])
def test_a_stream_that_is_black_from_its_start_is_told_once(
    pictures: int, says: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interlaced ones look so through OpenCV, which tells nobody."""

    def frames(_: object) -> Iterator[Frame]:
        for number in range(200):
            image = picture(16, 16) if number >= pictures else np.zeros((16, 16, 3), np.uint8)
            yield Frame(image, 0.0, number)

    monkeypatch.setattr("edge.cameras.video_capture.CaptureCamera.__iter__", frames)
    assert len(list(stream("rtsp://user:secret@camera/"))) == 200
    assert capsys.readouterr().err.count("interlaced") == says
