"""The pipeline: order, overlap, bounded queues, errors and the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from quietcam.errors import DataError, ModelError, StorageError
from quietcam.image import Image
from tests.edge.run.parts import Collector, Endless, Numbers, PlusOne, in_background
from tests.waiting import WAIT, until

pytestmark = pytest.mark.usefixtures("nothing_is_stale", "no_thread_is_left")


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
    """Each stage waits until the next one has begun with an earlier frame: in one thread this would hang."""
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
    """While the network holds frame 0, the camera delivers only as many frames as the queue holds."""
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


def test_a_model_that_takes_over_may_make_another_shape() -> None:
    """As a color one after a gray one: its first frame meets memory of the old shape, the next ones do not."""
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
