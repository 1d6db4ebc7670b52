"""Faults in a whole running pipeline: a real stream, a real network, real sinks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.cameras.network.stream import stream_camera
from edge.cameras.network.url import CameraUrl
from edge.cameras.supervised import SupervisedCamera, WatchRules
from edge.network.denoiser import Denoiser
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.sinks.base import Sink
from quietcam.image import Image
from tests.edge.cameras.mjpeg_server import MjpegCamera, mjpeg_camera
from tests.waiting import WAIT, until

PATIENT = WatchRules(silence=WAIT, opening=WAIT, first_pause=0.005, longest_pause=0.02, proven=0.0, pulse=0.01)


class Viewer(Sink):
    """A viewer: the last picture's size, and the reported state of the camera."""

    name = "viewer"

    def __init__(self) -> None:
        self.size: tuple[int, int] = (0, 0)
        self.told: dict[str, Any] = {}

    def write(self, frame: Frame, denoised: Image) -> None:
        assert denoised.shape == frame.image.shape
        self.size = denoised.shape[1], denoised.shape[0]
        self.frames += 1

    def status(self, report: dict[str, Any]) -> None:
        self.told = report


class Run:
    """A pipeline that runs in a thread."""

    def __init__(self, url: str, model: Path) -> None:
        self.viewer = Viewer()
        self.camera = SupervisedCamera(lambda: stream_camera(CameraUrl.parse(url)), PATIENT)
        self.denoiser = Denoiser(model, 1)
        self.reloading = ReloadingDenoiser(self.denoiser, self.denoiser.reload)
        self.pipeline = Pipeline(self.camera, self.reloading, [self.viewer])
        self._thread = threading.Thread(target=self.pipeline.run)

    def __enter__(self) -> Run:
        self.camera.open()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.pipeline.stop()
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        self.camera.close()
        self.denoiser.close()


def held() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@pytest.fixture
def stream() -> Iterator[MjpegCamera]:
    with mjpeg_camera() as server:
        yield server


def test_a_camera_that_is_replugged_50_times_keeps_its_viewer_and_leaks_nothing(
    stream: MjpegCamera, small: Path
) -> None:
    sizes = [(64, 48), (80, 48), (64, 64)]
    with Run(stream.url, small) as run:
        until(lambda: run.viewer.frames > 2)
        before = held()
        for number in range(50):
            stream.unplug()
            stream.size = sizes[number % 3]
            stream.plug.set()
            until(lambda number=number: run.camera.state.reopened > number)  # type: ignore[misc]
            until(lambda number=number: run.viewer.size == sizes[number % 3])  # type: ignore[misc]
        until(lambda: held()[1] <= before[1])
        assert held()[0] <= before[0] + 2
        report = run.pipeline.health.report()
        assert report["camera"]["reopened"] == 50
        assert report["camera"]["state"] == "live"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("quietcam-")]


def test_the_viewer_is_told_that_there_is_no_live_video(stream: MjpegCamera, small: Path) -> None:
    with Run(stream.url, small) as run:
        until(lambda: run.viewer.frames > 2)
        stream.unplug()
        until(lambda: run.viewer.told.get("camera", {}).get("state") == "lost")
        assert run.viewer.told["camera"]["reason"]
        assert abs(time.time() - run.viewer.told["camera"]["since"]) < WAIT
        stream.plug.set()
        until(lambda: run.viewer.told["camera"]["state"] == "live")


def test_a_frozen_stream_is_noticed_under_the_pipeline_too(
    stream: MjpegCamera, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cameras.network.reach.FROZEN_PICTURES", 0.3)
    with Run(stream.url, small) as run:
        until(lambda: run.viewer.frames > 2)
        stream.frozen = True
        until(lambda: run.camera.state.state == "lost")
        assert "the same picture" in str(run.camera.state.reason)
        stream.frozen = False
        until(lambda: run.camera.state.state == "live")


def test_garbage_in_the_place_of_the_model_never_stops_what_works(stream: MjpegCamera, small: Path) -> None:
    with Run(stream.url, small) as run:
        until(lambda: run.viewer.frames > 2)
        good = small.read_bytes()
        rng = np.random.default_rng(0)
        for content in (b"", b"garbage", good[: len(good) // 2], rng.bytes(len(good)), None):
            run.reloading.error = None
            if content is None:
                small.unlink()
            else:
                small.write_bytes(content)
            run.reloading.request(small)
            until(lambda: run.reloading.error is not None)
            frames = run.viewer.frames
            until(lambda: run.viewer.frames > frames + 2)  # noqa: B023
        assert run.reloading.count == 0
        small.write_bytes(good)
        run.reloading.request(small)
        until(lambda: run.reloading.count == 1)
        assert run.reloading.error is None
        frames = run.viewer.frames
        until(lambda: run.viewer.frames > frames + 2)
