"""The pipeline with a camera, a network and sinks that tests hold in their hands."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import edge.run.sink_thread
from edge.cameras.base import Camera, CameraState
from edge.network.treatment import Rung
from edge.run.degrade import Degrader
from edge.run.frame import Frame
from edge.run.ladder import Ladder
from edge.run.pipeline import Pipeline
from edge.run.temperature import Thermometer
from edge.sinks.base import Sink, SinkEnded
from quietcam.errors import DataError, ModelError, StorageError
from quietcam.image import Image
from tests.edge.treating import Treats
from tests.waiting import WAIT, until


class Numbers(Camera):
    """Frames whose pixel is their index. ``before`` is called ahead of each."""

    name = "numbers"

    def __init__(self, count: int, live: bool = False, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self.live = live
        self.total = count
        self._before = before

    @property
    def size(self) -> tuple[int, int]:
        return 1, 1

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.total or 0):
            self._before(index)
            yield Frame(np.full((1, 1, 3), index, np.uint8), float(index), index)


class PlusOne(Treats):
    """A network that adds one. ``before`` is called with each pixel."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self._before = before

    def denoise(self, noisy: Image, out: Image | None = None) -> Image:
        self._before(int(noisy[0, 0, 0]))
        return np.add(noisy, np.uint8(1), out=out)


class Collector(Sink):
    """Keeps (index, noisy, denoised)."""

    name = "collector"

    def __init__(self, fail_at: int | None = None) -> None:
        self.taken: list[tuple[int, int, int]] = []
        self._fail_at = fail_at

    def write(self, frame: Frame, denoised: Image) -> None:
        if frame.index == self._fail_at:
            raise StorageError("full")
        self.taken.append((frame.index, int(frame.image[0, 0, 0]), int(denoised[0, 0, 0])))
        self.frames += 1


@pytest.fixture(autouse=True)
def _nothing_is_stale_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.run.health._STALE", WAIT)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_a_file_gives_every_frame_in_order_to_every_sink() -> None:
    sinks = [Collector(), Collector()]
    health = Pipeline(Numbers(50), PlusOne(), sinks).run()
    assert sinks[0].taken == [(i, i, i + 1) for i in range(50)]
    assert sinks[1].taken == sinks[0].taken
    assert (health.frames, health.dropped) == (50, 0)
    assert all(latency.count == 50 for latency in health.stages.values())


def test_frames_stops_it() -> None:
    sink = Collector()
    seen: list[int] = []
    health = Pipeline(Numbers(10_000), PlusOne(), [sink]).run(7, lambda _: seen.append(1))
    assert [index for index, _, _ in sink.taken] == list(range(7))
    assert health.frames == len(seen) == 7


def test_the_newest_frame_of_a_live_camera_wins() -> None:
    """The network holds frame 0 until the camera has delivered the rest: 1 to 8 are dropped, 9 comes next."""
    delivered, began = threading.Event(), threading.Event()

    def camera_before(index: int) -> None:
        if index == 1:
            assert began.wait(WAIT)

    def network_before(pixel: int) -> None:
        if pixel == 0:
            began.set()
            assert delivered.wait(WAIT)

    class Ends(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            delivered.set()

    sink = Collector()
    health = Pipeline(Ends(10, live=True, before=camera_before), PlusOne(network_before), [sink]).run()
    assert [index for index, _, _ in sink.taken] == [0, 9]
    assert (health.frames, health.dropped) == (2, 8)


def test_the_three_stages_overlap() -> None:
    """Each stage waits until the next one has begun with an earlier frame: alone in one thread it would hang."""
    network, sink_began = threading.Event(), threading.Event()

    class Slow(Collector):
        def write(self, frame: Frame, denoised: Image) -> None:
            sink_began.set()
            super().write(frame, denoised)

    def camera_before(index: int) -> None:
        if index == 1:
            assert network.wait(WAIT), "the network waits for the camera to end"

    def network_before(pixel: int) -> None:
        network.set()
        if pixel == 1:
            assert sink_began.wait(WAIT), "the sinks wait for the network to end"

    sink = Slow()
    Pipeline(Numbers(3, before=camera_before), PlusOne(network_before), [sink]).run()
    assert len(sink.taken) == 3


def test_queues_are_bounded() -> None:
    """While the network holds frame 0, the camera gets no further than the queue is long."""
    release = threading.Event()
    furthest: list[int] = []

    def network_before(pixel: int) -> None:
        if pixel == 0:
            release.wait(0.2)  # time for a camera without bounds to run away
            furthest.append(camera_at[-1])

    camera_at: list[int] = []
    Pipeline(Numbers(200, before=camera_at.append), PlusOne(network_before), [Collector()]).run()
    assert furthest[0] <= 4


def test_end_to_end_is_from_the_sensor_for_live_and_from_reading_for_files() -> None:
    for live, expected in ((True, 500.0), (False, 0.0)):
        camera = Numbers(1, live=live)
        health = Pipeline(camera, PlusOne(), [Collector()], clock=lambda: 500.0).run()
        assert health.stages["end_to_end"].report()["max"] == expected * 1000


def test_ctrl_c_lets_the_sinks_finish_what_was_denoised() -> None:
    def interrupt(pixel: int) -> None:
        if pixel == 5:
            raise KeyboardInterrupt

    sink = Collector()
    pipeline = Pipeline(Numbers(100), PlusOne(interrupt), [sink])
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert [index for index, _, _ in sink.taken] == list(range(5))
    assert pipeline.health.frames == 5


def test_an_error_of_the_camera_comes_out_after_what_it_gave() -> None:
    def fail(index: int) -> None:
        if index == 5:
            raise DataError("torn")

    sink = Collector()
    with pytest.raises(DataError, match="torn"):
        Pipeline(Numbers(100, before=fail), PlusOne(), [sink]).run()
    assert len(sink.taken) == 5


def test_an_error_of_a_sink_stops_everything() -> None:
    sink = Collector(fail_at=5)
    camera_at: list[int] = []
    with pytest.raises(StorageError, match="full"):
        Pipeline(Numbers(10_000, before=camera_at.append), PlusOne(), [sink]).run()
    assert len(sink.taken) == 5
    assert camera_at[-1] < 100


def test_an_error_of_the_network_stops_everything() -> None:
    def fail(pixel: int) -> None:
        if pixel == 5:
            raise DataError("odd frame")

    sink = Collector()
    with pytest.raises(DataError, match="odd frame"):
        Pipeline(Numbers(10_000), PlusOne(fail), [sink]).run()
    assert len(sink.taken) == 5


class Endless(Numbers):
    """A live camera that waits a little between frames, until it is stopped; frames are given back."""

    def __init__(self, count: int = 10**9, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(count, live=True, before=before)
        self.out = 0
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.total or 0):
            self._before(index)
            if self._stopped.wait(0.002):
                return
            self.out += 1
            yield Frame(np.full((1, 1, 3), index % 250, np.uint8), time.monotonic(), index, release=self._back)

    def _back(self) -> None:
        self.out -= 1

    def stop(self) -> None:
        self._stopped.set()


class Told(Collector):
    """Keeps what it is told of the run."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[dict[str, Any]] = []

    def status(self, report: dict[str, Any]) -> None:
        self.reports.append(report)


def in_background(pipeline: Pipeline) -> threading.Thread:
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    return thread


def test_stop_ends_it_and_every_frame_is_given_back() -> None:
    camera, sink = Endless(), Collector()
    pipeline = Pipeline(camera, PlusOne(), [sink])
    thread = in_background(pipeline)
    until(lambda: len(sink.taken) > 5)
    pipeline.stop()
    pipeline.stop()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert pipeline.health.frames == len(sink.taken)
    assert camera.out == 0


def test_denoised_frames_lie_in_memory_that_is_used_again() -> None:
    addresses: set[int] = set()

    class Large(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                yield Frame(np.full((64, 64, 3), frame.index, np.uint8), 0.0, frame.index)

    class Looks(Collector):
        def write(self, frame: Frame, denoised: Image) -> None:
            super().write(frame, denoised)
            addresses.add(denoised.ctypes.data)

    sinks = [Looks(), Collector()]
    Pipeline(Large(200), PlusOne(), sinks).run()
    assert sinks[0].taken == sinks[1].taken == [(i, i, i + 1) for i in range(200)]
    assert len(addresses) < 12


def test_a_frame_of_another_size_or_of_one_channel_goes_through_too() -> None:
    class Mixed(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            for index in range(40):
                shape = ((4, 4, 3), (6, 4, 3), (4, 4, 1))[index // 3 % 3]
                yield Frame(np.full(shape, index, np.uint8), 0.0, index)

    class Color(PlusOne):
        def denoise(self, noisy: Image, out: Image | None = None) -> Image:
            return super().denoise(np.repeat(noisy, 3 // noisy.shape[2], axis=2), out)

    class Shapes(Collector):
        def write(self, frame: Frame, denoised: Image) -> None:
            super().write(frame, denoised)
            assert denoised.shape == (*frame.image.shape[:2], 3)
            assert (denoised == frame.index + 1).all()

    sink = Shapes()
    Pipeline(Mixed(40), Color(), [sink]).run()
    assert len(sink.taken) == 40


def test_a_sink_that_fails_on_a_live_run_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
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
    assert "the run goes on without it: full" in capsys.readouterr().err


def test_a_sink_that_failed_is_opened_again_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
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
        if index == 1:  # the camera goes on until the sink is back
            until(lambda: "close" in said)
        elif index == 59:
            until(lambda: bool(sink.taken))

    sink = Recovers()
    health = Pipeline(Endless(60, before), PlusOne(), [sink, Collector()]).run()
    assert said == ["close", "open", "close"]
    assert sink.taken[-1][0] == 59
    assert health.report()["sinks"][0]["error"] is None
    assert "takes frames again" in capsys.readouterr().err


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


def test_sinks_that_nobody_reads_any_more_end_the_run_quietly_once_all_have() -> None:
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


def test_a_network_that_fails_in_mid_run_lets_live_frames_pass() -> None:
    failing = threading.Event()

    def before(pixel: int) -> None:
        del pixel
        if failing.is_set():
            raise ModelError("the stick is gone")

    sink = Collector()
    pipeline = Pipeline(Endless(), PlusOne(before), [sink])
    thread = in_background(pipeline)
    until(lambda: len(sink.taken) > 3)
    failing.set()
    until(lambda: any(noisy == denoised for _, noisy, denoised in list(sink.taken)))
    report = pipeline.health.report()
    assert report["ladder"] | {"since": 0} == {
        "step": "pass-through",
        "reason": "the network fails: the stick is gone",
        "since": 0,
    }
    assert report["ladder"]["since"] > 0
    failing.clear()
    until(lambda: sink.taken[-1][1] + 1 == sink.taken[-1][2])
    assert pipeline.health.report()["ladder"] == {"step": "full", "reason": None}
    pipeline.stop()
    thread.join(WAIT)


def test_a_network_that_fails_right_after_a_reload_lets_live_frames_pass_too() -> None:
    class Breaks(PlusOne):
        broken = False

        def reload(self, model: str) -> None:
            if model == "crash":
                raise RuntimeError("no error of ours")
            self.broken = True

        def denoise(self, noisy: Image, out: Image | None = None) -> Image:
            if self.broken:
                raise ValueError("no error of ours")
            return super().denoise(noisy, out)

    sink = Collector()
    pipeline = Pipeline(Endless(), Breaks(), [sink])
    thread = in_background(pipeline)
    until(lambda: len(sink.taken) > 3)
    pipeline.request_reload("crash")
    until(lambda: pipeline.health.reload_error == "no error of ours")
    pipeline.request_reload("other")
    until(lambda: any(noisy == denoised for _, noisy, denoised in list(sink.taken)))
    pipeline.stop()
    thread.join(WAIT)
    assert not thread.is_alive()


def test_a_reload_between_two_frames_and_one_that_is_refused() -> None:
    class Reloads(PlusOne):
        model = "one"

        def reload(self, model: str) -> None:
            if model == "garbage":
                raise ModelError("not a model")
            self.model = model

    denoiser, sink = Reloads(), Collector()
    pipeline = Pipeline(Endless(), denoiser, [sink])
    thread = in_background(pipeline)
    pipeline.request_reload("garbage")
    until(lambda: pipeline.health.report()["reload"] == {"count": 0, "error": "not a model"})
    taken = len(sink.taken)
    until(lambda: len(sink.taken) > taken)
    pipeline.request_reload("two")
    until(lambda: pipeline.health.report()["reload"] == {"count": 1, "error": None})
    assert denoiser.model == "two"
    pipeline.stop()
    thread.join(WAIT)


@pytest.mark.parametrize("first", ["good", "bad"])
def test_a_refusal_is_shown_also_when_a_reload_that_was_asked_for_before_it_ends_after_it(first: str) -> None:
    begun, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    class Slow(PlusOne):
        def reload(self, model: str) -> None:
            begun.set()
            go_on.wait(WAIT)
            ended.append(model)
            if model == "bad":
                raise ModelError("not a model")

    pipeline = Pipeline(Endless(), Slow(), [Collector()])
    thread = in_background(pipeline)
    pipeline.request_reload(first)
    assert begun.wait(WAIT)
    pipeline.refuse_reload("no such file")
    go_on.set()
    until(lambda: ended and not pipeline._reloading.is_alive())
    count = int(first == "good")
    assert pipeline.health.report()["reload"] == {"count": count, "error": "no such file"}
    pipeline.request_reload("next")
    until(lambda: pipeline.health.report()["reload"] == {"count": count + 1, "error": None})
    pipeline.stop()
    thread.join(WAIT)


def test_a_model_that_takes_over_may_make_another_shape() -> None:
    """As a colour one after a gray one: its first frame meets memory of the old shape, the next ones do not."""
    met: list[bool] = []

    class Grows(PlusOne):
        def denoise(self, noisy: Image, out: Image | None = None) -> Image:
            shape = (1, 1, 1 if noisy[0, 0, 0] < 5 else 3)
            met.append(out is not None and out.shape == shape)
            if out is None or out.shape != shape:
                out = np.empty(shape, np.uint8)
            return np.add(noisy[..., : shape[2]], np.uint8(1), out=out)

    class Shapes(Collector):
        def write(self, frame: Frame, denoised: Image) -> None:
            super().write(frame, denoised)
            shapes.append(denoised.shape[2])

    shapes: list[int] = []
    sink = Shapes()
    Pipeline(Numbers(10), Grows(), [sink]).run()
    assert shapes == [1] * 5 + [3] * 5
    assert met == [False, *[True] * 4, False, *[True] * 4]
    assert sink.taken == [(i, i, i + 1) for i in range(10)]


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


@pytest.mark.parametrize(
    ("step", "taken"),
    [(Rung.PASS_THROUGH, [(i, i, i) for i in range(8)]), (Rung.EVERY_SECOND, [(i, i, i + 1) for i in range(0, 8, 2)])],
)
def test_the_steps_of_the_ladder(step: Rung, taken: list[tuple[int, int, int]]) -> None:
    sink = Collector()
    degrade = Degrader(Ladder((step,)), Thermometer())
    health = Pipeline(Numbers(8), PlusOne(), [sink], degrade=degrade).run()
    assert sink.taken == taken
    assert health.dropped == 8 - len(taken)
    assert health.report()["ladder"]["step"] == step.value
