"""A run waits for a camera that is missing at the start."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.cameras.base import Camera
from edge.cameras.discover import FoundCamera
from edge.cameras.supervised import SupervisedCamera
from edge.run.frame import Frame
from quietcam.errors import DataError, MissingExtraError, UsageError
from tests.edge.cameras.watched import PATIENT, SLOW, FakeCamera, FakeDevice
from tests.waiting import WAIT, until

pytestmark = pytest.mark.usefixtures("nothing_is_left")


class TestWaiting:
    """A camera that is missing at the start."""

    @staticmethod
    def waiting(device: FakeDevice) -> SupervisedCamera:
        camera = SupervisedCamera(device.make, replace(PATIENT, longest_pause=0.005))
        camera.wait = True
        return camera

    def test_it_is_waited_for_and_said_so(self, caplog: pytest.LogCaptureFixture) -> None:
        device, found = FakeDevice(), []
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
        said = caplog.text
        assert "Waiting for a camera: no such device" in said
        assert "device is there, 8x6" in said

    def test_each_reason_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """First it is not ready, then this user may not read it; the log does not fill up within days."""
        device = FakeDevice()
        asked: list[str] = []
        reasons = ["not ready", "not ready", "may not read"] + [f"odd {number}" for number in range(99)]

        class Refused(FakeCamera):
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
        said = [line for line in caplog.messages if line.startswith("Waiting")]
        assert said[:2] == ["Waiting for a camera: not ready", "Waiting for a camera: may not read"]
        assert len(said) == len(set(said)) == 8

    def test_a_stop_ends_the_wait_at_once(self) -> None:
        device = FakeDevice()
        device.there = False
        camera = SupervisedCamera(device.make, SLOW)
        camera.wait = True
        camera.open()
        threading.Timer(0.05, camera.stop).start()
        assert list(camera) == []
        camera.close()

    def test_what_no_wait_can_mend_is_an_error(self) -> None:
        device = FakeDevice()
        device.refusal = MissingExtraError("apt install python3-picamera2")
        with pytest.raises(MissingExtraError), self.waiting(device):
            pass

    def test_none_named_is_the_first_that_appears(self, tmp_path: Path) -> None:
        device, there = FakeDevice(), []

        def find() -> str:
            if not there:
                raise UsageError("plug one in")
            return str(there[0])

        made: list[str] = []

        def make(source: str) -> Camera:
            made.append(source)
            return FakeCamera(device)

        camera = SupervisedCamera(lambda: FoundCamera(make, find, tmp_path), SLOW)
        camera.wait = True
        with camera:
            assert camera.state.reason == "waiting for a camera: plug one in"
            frames = iter(camera)
            threading.Timer(0.05, lambda: (there.append("/dev/video3"), (tmp_path / "video3").touch())).start()
            next(frames)
            assert (made, camera.name) == (["/dev/video3"], "device")
