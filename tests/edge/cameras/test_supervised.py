"""Cameras that vanish, freeze, hang and return, with a fake camera that the test controls."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from edge.cameras.base import NotReadyError
from edge.cameras.supervised import SupervisedCamera
from quietcam.errors import DataError
from tests.edge.cameras.watched import PATIENT, SLOW, FakeCamera, FakeDevice, NotReadyCamera, Pulled, until_frame
from tests.waiting import WAIT, until

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def test_unplugged_and_replugged_50_times_at_another_size_too(caplog: pytest.LogCaptureFixture) -> None:
    device = FakeDevice()
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
        assert camera.state.reason == "gone"  # the reason of the loss, not that of a failed attempt to open it
        assert camera.size == (8 + 50 % 3, 6)
        index, dropped = frame.index, camera.dropped
        taken = device.number
        until(lambda: device.number > taken + 5)  # nobody takes these frames
        later = next(frames)
        assert camera.dropped > dropped
        assert later.index == index + 1 + camera.dropped - dropped
    assert device.opened == 51
    until(lambda: device.closed >= 51)
    said = caplog.text
    assert said.count("device is lost: gone") == 50
    assert said.count("device is back after") == 50


def test_it_is_lost_since_the_last_frame_and_live_since_the_first_one() -> None:
    device = FakeDevice()
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
    device, wake = FakeDevice(), threading.Event()
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
    device = FakeDevice()
    with Pulled(SupervisedCamera(device.make, PATIENT)) as pulled:
        device.frozen = True
        until(lambda: pulled.camera.state.state == "lost")
        taken, opened = len(pulled.frames), device.opened
        until(lambda: device.opened > opened + 2)
        assert len(pulled.frames) == taken
        assert pulled.camera.state.reopened == 0


def test_hanging_calls_are_left_alone_and_no_third_thread_is_started() -> None:
    device, wake = FakeDevice(), threading.Event()
    with Pulled(SupervisedCamera(device.make, PATIENT)) as pulled:
        device.wake = wake
        until(lambda: device.hanging)
        pulled.camera._rules = replace(PATIENT, silence=0.2)
        until(lambda: "two readers hang" in str(pulled.camera.state.reason))
        failures: list[float] = []
        failed = pulled.camera._backoff.failed
        pulled.camera._backoff.failed = lambda: failures.append(failed()) or failures[-1]  # type: ignore[method-assign, func-returns-value]
        until(lambda: len(failures) > 9)
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
    device = FakeDevice()
    device.dark, device.frozen = why == "dark", why == "allowed"
    with Pulled(SupervisedCamera(device.make, PATIENT, allow_still=why == "allowed")) as pulled:
        frames = pulled.frames
        until(lambda: frames[-1].timestamp - frames[0].timestamp > 2 * FakeCamera.frozen_after)
        assert pulled.camera.state.state == "live"
        assert pulled.camera.state.reopened == 0


def test_the_first_attempt_fails_loudly() -> None:
    device = FakeDevice()
    device.there = False
    with pytest.raises(DataError, match="no such device"), SupervisedCamera(device.make, PATIENT):
        pass


def test_close_and_stop_may_be_called_twice_and_without_frames() -> None:
    device = FakeDevice()
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
    """However short it delivered, and however long the pause was: its device node is a new one."""
    device = FakeDevice()
    device.node = ("first",)
    with Pulled(SupervisedCamera(device.make, replace(SLOW, proven=1e6))) as pulled:
        for number in range(3):
            device.node, device.there = (), False
            until(lambda: pulled.camera.state.state == "lost")
            device.there, device.node = True, ("again", number)
            until(lambda: pulled.camera.state.state == "live")
        assert pulled.camera.state.reopened == 3


def test_attempts_are_counted_anew_once_it_is_plugged_in() -> None:
    """However long the pause was, the second attempt soon follows the first one, which fails."""
    device = FakeDevice()
    device.node = ("first",)
    rules = replace(PATIENT, first_pause=0.01, longest_pause=1e6, proven=1e6)
    with Pulled(SupervisedCamera(device.make, rules)) as pulled:
        for _ in range(40):
            pulled.camera._backoff.failed()  # so the next pause would last for ten days
        device.node, device.there = (), False
        until(lambda: pulled.camera.state.state == "lost")
        device.returns = True
        device.node = ("again",)
        until(lambda: pulled.camera.state.state == "live")


def test_one_that_the_system_has_not_handed_over_is_not_ready_yet() -> None:
    """It is tried again soon, the pause does not grow, and the reported reason of the loss stays true."""
    device = FakeDevice()
    rules = replace(PATIENT, first_pause=0.001, longest_pause=1e6, handing_over=0.001)
    with Pulled(SupervisedCamera(device.make, rules)) as pulled:
        asked = []

        class AskedError(NotReadyError):
            def __init__(self) -> None:
                asked.append(1)
                super().__init__("not handed over")

        device.there = False
        until(lambda: pulled.camera.state.state == "lost")
        pulled.camera._make = lambda: NotReadyCamera(device, AskedError)
        until(lambda: len(asked) > 40)  # a pause that doubles this often would never end
        assert "not handed over" not in str(pulled.camera.state.reason)
        device.there, pulled.camera._make = True, lambda: FakeCamera(device)
        until(lambda: pulled.camera.state.state == "live")
        assert pulled.camera.state.reason == "gone"
