"""A fake camera that tests control, and a thread that takes its frames, for tests of watched cameras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from edge.cameras.base import Camera
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.run.frame import Frame
from quietcam.errors import DataError
from tests.small_models import picture
from tests.waiting import WAIT, until

__all__ = ["PATIENT", "SLOW", "FakeCamera", "FakeDevice", "NotReadyCamera", "Pulled", "until_frame"]

# A busy machine looks silent too: only tests of silence let a camera be lost for it.
PATIENT = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.005, longest_pause=0.02, proven=0.0, pulse=0.01)
SLOW = replace(PATIENT, first_pause=1e6, longest_pause=1e6)  # longer than any test


class FakeDevice:
    """The device behind all fake cameras that it makes."""

    def __init__(self) -> None:
        self.there = True
        self.returns = False  # after one attempt to open it while it is unplugged
        self.size = (8, 6)
        self.frozen = False
        self.wake: threading.Event | None = None  # if an event, reading hangs until it is set
        self.hanging = 0  # cameras that do
        self.dark = False
        self.number = 0  # of the picture, which a frozen one keeps when it is opened again
        self.opened = self.closed = 0
        self.refusal: Exception | None = None  # what opening raises instead, if anything
        self.node: object = None  # what the file system shows of it

    def make(self) -> Camera:
        return FakeCamera(self)


class FakeCamera(Camera):
    name = "device"
    live = True
    frozen_after = 0.15

    def __init__(self, device: FakeDevice) -> None:
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


class NotReadyCamera(FakeCamera):
    def __init__(self, device: FakeDevice, error: type[Exception]) -> None:
        super().__init__(device)
        self._error = error

    def open(self) -> None:
        raise self._error()


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
