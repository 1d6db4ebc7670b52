"""The pipeline with a camera, a network and sinks that tests hold in their hands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edge.cameras.base import Camera
from edge.frame import Frame
from edge.pipeline import Pipeline
from edge.sinks.base import Sink
from quietcam.errors import DataError, StorageError
from quietcam.image import Image

WAIT = 10.0


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


class PlusOne:
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
