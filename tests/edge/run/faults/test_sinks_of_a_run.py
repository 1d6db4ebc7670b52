"""Sinks in a run: each may fail, fall behind or end without delaying the others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

import edge.run.sink_thread
from edge.cameras.base import CameraState
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.sinks.base import SinkEnded
from quietcam.errors import StorageError
from quietcam.image import Image
from tests.edge.run.parts import Collector, Endless, Numbers, PlusOne, Told, in_background
from tests.waiting import WAIT, until

pytestmark = pytest.mark.usefixtures("nothing_is_stale", "no_thread_is_left")


def test_a_sink_that_fails_on_a_live_run_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.run.sink_thread, "_FIRST_RETRY", 1000.0)

    class Fills(Collector):
        def write(self, frame: Frame, denoised: Image) -> None:
            if frame.index >= 5:  # a live run may leave the fifth out
                raise StorageError("full")
            super().write(frame, denoised)

    good, bad = Collector(), Fills()
    pipeline = Pipeline(Endless(60), PlusOne(), [good, bad])
    health = pipeline.run()
    assert good.taken[-1][0] == 59
    assert all(index < 5 for index, _, _ in bad.taken)
    failing = health.report()["sinks"][1]
    assert (failing["failed"], failing["error"]) == (1, "full")
    assert health.report()["sinks"][0]["error"] is None
    assert "the run goes on without it and tries it again in 1000 s: full" in caplog.text


def test_a_sink_that_failed_is_opened_again_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.run.sink_thread, "_FIRST_RETRY", 0.01)
    said: list[str] = []

    class Recovers(Collector):
        def open(self) -> None:
            said.append("open")

        def close(self) -> None:
            said.append("close")

        def write(self, frame: Frame, denoised: Image) -> None:
            if not said:  # whichever frame comes first
                raise StorageError("full")
            super().write(frame, denoised)

    def before(index: int) -> None:
        if index == 1:  # the camera continues until the sink is back
            until(lambda: "close" in said)
        elif index == 59:
            until(lambda: bool(sink.taken))

    sink = Recovers()
    health = Pipeline(Endless(60, before), PlusOne(), [sink, Collector()]).run()
    assert said == ["close", "open", "close"]
    assert sink.taken[-1][0] == 59
    assert health.report()["sinks"][0]["error"] is None
    assert "takes frames again" in caplog.text


def test_one_that_is_alone_and_fails_at_once_ends_a_live_run() -> None:
    class Full(Collector):
        def write(self, *_: object) -> None:  # whichever frame comes first
            raise StorageError("full")

    with pytest.raises(StorageError, match="full"):
        Pipeline(Endless(), PlusOne(), [Full()]).run()


def test_a_slow_sink_of_a_live_run_loses_frames_and_the_fast_one_none() -> None:
    release = threading.Event()

    class Slow(Collector):
        def write(self, frame: Frame, denoised: Image) -> None:
            assert release.wait(WAIT)
            super().write(frame, denoised)

    def before(index: int) -> None:
        until(lambda: len(fast.taken) == index)  # so what is lost is lost to the slow sink
        if index == 30:
            release.set()

    fast, slow = Collector(), Slow()
    camera = Endless(31, before)
    told = Pipeline(camera, PlusOne(), [fast, slow]).run().report()["sinks"]
    assert (told[0]["frames"], told[0]["dropped"]) == (31, 0)
    # Of the 30 frames before its release it holds one, and its queue two.
    assert told[1]["dropped"] >= 27
    assert told[1]["frames"] + told[1]["dropped"] == 31
    assert all(noisy + 1 == denoised for _, noisy, denoised in slow.taken), "its memory was used again too early"
    assert camera.out == 0


def test_a_run_ends_quietly_once_no_sink_has_a_reader() -> None:
    class Leaves(Collector):
        def write(self, frame: Frame, denoised: Image) -> None:
            if frame.index >= 5:
                raise SinkEnded
            super().write(frame, denoised)

    for camera in (Endless(), Numbers(10_000)):
        sink = Leaves()
        Pipeline(camera, PlusOne(), [sink]).run()
        assert len(sink.taken) <= 5
    leaves, stays = Leaves(), Collector()
    Pipeline(Numbers(50), PlusOne(), [leaves, stays]).run()
    assert (len(leaves.taken), len(stays.taken)) == (5, 50)


def test_sinks_are_told_how_it_is_also_while_no_frames_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.run.sink_thread, "_TICK", 0.01)
    gone = threading.Event()

    class Gone(Endless):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                yield frame
                if frame.index == 3:
                    self.state = CameraState("lost", 17.0, 2, "unplugged")
                    gone.wait(WAIT)

    sink = Told()
    pipeline = Pipeline(Gone(10), PlusOne(), [sink])
    thread = in_background(pipeline)
    until(lambda: any(each["camera"]["state"] == "lost" for each in list(sink.reports)))
    until(lambda: sink.taken and sink.taken[-1][0] == 3)  # the last one before it was lost
    told, frames = len(sink.reports), len(sink.taken)
    until(lambda: len(sink.reports) > told + 3)
    assert len(sink.taken) == frames
    last = json.loads(json.dumps(sink.reports[-1]))
    assert last["camera"] | {"state": "lost", "since": 17.0, "reopened": 2, "reason": "unplugged"} == last["camera"]
    assert {"noise_sigma", "device", "ladder", "temperature_c", "sinks", "fps_now", "seconds"} <= set(last)
    gone.set()
    pipeline.stop()
    thread.join(WAIT)
