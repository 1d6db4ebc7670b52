"""The end of a run in which a part hangs: other parts are finished, that part is abandoned, and nothing follows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.supervised import SupervisedCamera
from edge.network.denoiser import Denoiser
from edge.network.engine import Engine
from edge.run.degrade.temperature import Temperature, Thermometer
from edge.run.frame import Frame
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.run.session import RunOptions, open_session
from edge.service.notify import Notifier
from edge.service.reload import Reloader
from edge.sinks.null import NullSink
from edge.web.guard import Limits
from edge.web.server import Server, bind
from quietcam.errors import ModelError, StorageError, UsageError
from quietcam.image import Image
from quietcam.process.native_output import native_output_caught
from quietcam.process.stopping import process
from tests.edge.run.parts import Collector, Numbers, PlusOne
from tests.leaks import descriptors
from tests.waiting import WAIT, until


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Check that no thread or descriptor is left once the hanging part has returned."""
    with native_output_caught():  # what the process keeps for its life is there already
        pass
    before, files = set(threading.enumerate()), descriptors()
    yield
    until(lambda: set(threading.enumerate()) <= before)
    until(lambda: descriptors() <= files)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Abandon hanging parts soon, since these tests wait for nothing else."""
    for name in ("run.pipeline._SOON", "run.degrade.temperature._GRACE", "service.reload._GRACE", "web.server._GRACE"):
        monkeypatch.setattr(f"edge.{name}", 0.05)


class Endless(Numbers):
    """A camera."""

    def __init__(self) -> None:
        super().__init__(0, live=True)
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in count():
            if self._stopped.wait(0.001):
                return
            yield Frame(np.full((1, 1, 3), index % 100, np.uint8), float(index), index)

    def stop(self) -> None:
        self._stopped.set()


class Finishes(Collector):
    """A sink that notes how it ended."""

    def __init__(self, name: str, write: Callable[[], None] = int, close: Callable[[], None] = int) -> None:
        super().__init__()
        self.name, self.ends, self._write, self._close = name, [], write, close

    ends: list[str]

    def write(self, frame: Frame, denoised: Image) -> None:
        self._write()
        super().write(frame, denoised)

    def close(self) -> None:
        self._close()
        self.ends.append("closed")

    def discard(self) -> None:
        self.ends.append("discarded")


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class TestSinks:
    @pytest.mark.parametrize("where", ["write", "close"])
    def test_one_that_hangs_keeps_no_other_from_its_end(
        self, where: str, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.run.pipeline._GRACE", 1.0)
        first, last = Finishes("first"), Finishes("last")
        hung = Finishes("hung", **{where: hang.wait})
        pipeline = Pipeline(Endless(), PlusOne(), [first, hung, last])
        run = in_thread(pipeline.run)
        until(lambda: first.taken and last.taken)
        pipeline.end()
        until(lambda: first.ends == last.ends == ["closed"])
        run.join(WAIT)
        assert not run.is_alive()
        errors = {each["name"]: each["error"] for each in pipeline.health.report()["sinks"]}
        assert errors == {"first": None, "hung": "it did not end in time", "last": None}
        with hung:  # as who opened it does: nothing is done twice while the thread is in it
            pass
        assert hung.ends == []
        hang.set()
        until(lambda: hung.ends == ["closed"])

    def test_after_a_signal_one_that_works_longer_than_usual_is_finished(
        self, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process alone says how long: it knows whether the sink is working or hangs."""

        def seconds_left(most: float) -> float:
            asked_for.append(most)
            if len(asked_for) == 3:
                hang.set()
            return min(most, WAIT)

        asked_for: list[float] = []
        monkeypatch.setattr("edge.run.pipeline._GRACE", 0.0)
        monkeypatch.setattr(process, "asked", True)
        monkeypatch.setattr(process, "seconds_left", seconds_left)
        works = Finishes("works", close=hang.wait)
        pipeline = Pipeline(Numbers(3), PlusOne(), [works])
        pipeline.run()
        assert works.ends == ["closed"]
        assert pipeline.health.report()["sinks"][0]["error"] is None

    def test_a_network_that_hangs_keeps_none_from_its_end(self, hang: threading.Event) -> None:
        sinks = [Finishes("a"), Finishes("b")]
        done, hangs = count(), threading.Event()

        def work(_: int) -> None:
            if next(done) >= 5:
                hangs.set()
                hang.wait()

        network = PlusOne(work)
        pipeline = Pipeline(Endless(), network, sinks)
        run = in_thread(pipeline.run)
        until(lambda: hangs.is_set() and all(sink.taken for sink in sinks))
        pipeline.end()
        until(lambda: all(sink.ends == ["closed"] for sink in sinks))
        assert run.is_alive()
        hang.set()
        run.join(WAIT)
        assert all(sink.ends == ["closed"] for sink in sinks)

    def test_an_error_has_them_throw_away_and_the_end_of_the_run_keeps(self) -> None:
        for frames, raised in ((5, None), (200, StorageError)):
            sink, other = Finishes("good"), Collector(fail_at=7)
            pipeline = Pipeline(Numbers(frames), PlusOne(), [sink, other])
            if raised is None:
                pipeline.run()
            else:
                with pytest.raises(raised):
                    pipeline.run()
            assert sink.ends == ["closed" if raised is None else "discarded"]

    def test_one_that_cannot_be_finished_is_an_error(self) -> None:
        def full() -> None:
            raise StorageError("full")

        with pytest.raises(StorageError, match="full"):
            Pipeline(Numbers(5), PlusOne(), [Finishes("a", close=full), Finishes("b")]).run()

    def test_told_to_end_before_it_begins_it_ends_at_once(self) -> None:
        sink = Finishes("a")
        pipeline = Pipeline(Endless(), PlusOne(), [sink])
        pipeline.end()
        assert pipeline.run().frames == 0
        assert sink.ends == ["closed"]


class TestReload:
    def test_one_that_hangs_is_left_and_says_nothing_later(
        self, hang: threading.Event, caplog: pytest.LogCaptureFixture
    ) -> None:
        begun, over = threading.Event(), threading.Event()
        ready: list[str] = []
        notifier = Notifier({})
        notifier.ready = lambda: ready.append("ready")  # type: ignore[method-assign]

        def work() -> None:
            begun.set()
            hang.wait()
            over.set()
            raise ModelError("it is broken")

        reloader = Reloader(work, pytest.fail, notifier)
        reloader.start()
        reloader.request()
        assert begun.wait(WAIT)
        reloader.close()
        hang.set()
        assert over.wait(WAIT)
        until(lambda: not reloader._thread.is_alive())
        assert (ready, caplog.messages) == ([], [])

    def test_a_run_that_has_ended_takes_nothing_up(self, small: Path) -> None:
        options = RunOptions("synthetic:size=64x48", model=small, frames=2)
        with open_session(options, [NullSink()]) as session:
            session.run()
            with pytest.raises(UsageError, match="has ended"):
                session.reload(small, 0.5)
            assert session.denoiser.strength == 1.0

    @pytest.mark.parametrize("error", [None, ModelError("it is broken")])
    def test_a_model_that_is_ready_or_refused_after_the_end_is_no_news(
        self, error: ModelError | None, hang: threading.Event, caplog: pytest.LogCaptureFixture
    ) -> None:
        begun, over = threading.Event(), threading.Event()

        class Slow(PlusOne):
            def reload(self, _: object) -> None:
                begun.set()
                hang.wait()
                over.set()
                if error is not None:
                    raise error

        network = Slow()
        reloading = ReloadingDenoiser(network, network.reload)
        pipeline = Pipeline(Endless(), reloading, [Collector()])
        reloading.request("another.tflite")
        run = in_thread(pipeline.run)
        assert begun.wait(WAIT)
        pipeline.end()
        run.join(WAIT)
        hang.set()
        assert over.wait(WAIT)
        until(lambda: not reloading._thread.is_alive())
        assert pipeline.health.report()["reload"] == {"count": 0, "error": None}
        assert caplog.messages == []

    def test_a_model_that_is_ready_after_the_end_is_closed_without_a_word(
        self, small: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        closed: list[Engine] = []
        begun = threading.Event()

        class Late(Engine):
            def __init__(self, *words: object, **more: object) -> None:
                begun.set()
                hang.wait()
                super().__init__(*words, **more)  # type: ignore[arg-type]

            def close(self) -> None:
                closed.append(self)
                super().close()

        with Denoiser(small) as denoiser:
            monkeypatch.setattr("edge.network.denoiser.Engine", Late)
            reloading = ReloadingDenoiser(denoiser, denoiser.reload)
            pipeline = Pipeline(Endless(), reloading, [Collector()])
            reloading.request(small)
            run = in_thread(pipeline.run)
            assert begun.wait(WAIT)
            pipeline.end()
            run.join(WAIT)
            assert not run.is_alive()
        hang.set()
        until(lambda: closed)
        report = pipeline.health.report()["reload"]
        assert report == {"count": 0, "error": None}
        assert caplog.messages == []


def test_a_page_that_hangs_is_left(hang: threading.Event) -> None:
    from aiohttp import web

    def stuck(_: object) -> web.Application:
        application = web.Application()

        async def cleanup(_: web.Application) -> None:
            hang.wait()  # a handler that waits for native code

        application.on_cleanup.append(cleanup)
        return application

    server = Server(bind("127.0.0.1", 0), stuck, Limits(4))
    server.start()
    server.close()
    assert server._thread.is_alive()


def test_a_temperature_that_cannot_be_read_keeps_nobody_waiting(hang: threading.Event) -> None:
    class Stuck(Temperature):
        def celsius(self) -> float | None:
            hang.wait()
            return 50.0

    now = [0.0]
    thermometer = Thermometer(Stuck, lambda: now[0])
    thermometer.start()
    assert (thermometer.celsius(), thermometer.throttled()) == (None, None)
    hang.set()
    until(lambda: thermometer.celsius() == 50.0)
    thermometer.stop()
    now[0] = 1000.0  # long ago: nobody knows how warm it is now
    assert thermometer.celsius() is None


def test_a_file_whose_disk_hangs_is_closed_by_the_thread_that_reads_it(hang: threading.Event) -> None:
    """A library that is closed while it reads may crash."""
    begun, closed = threading.Event(), []

    class File(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            begun.set()
            hang.wait()
            yield from super().__iter__()

        def close(self) -> None:
            closed.append(threading.current_thread().name)

    def work() -> None:
        with File(3) as camera:
            pipeline = Pipeline(camera, PlusOne(), [Finishes("a")])
            in_thread(lambda: begun.wait() and pipeline.end())
            pipeline.run()

    run = in_thread(work)
    run.join(WAIT)
    assert (run.is_alive(), closed) == (False, [])
    hang.set()
    until(lambda: closed == ["quietcam-capture"])


def test_a_camera_whose_driver_hangs_is_left(hang: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Numbers):
        def __iter__(self) -> Iterator[Frame]:
            hang.wait()
            return iter(())

    waits: list[float] = []
    wait = SupervisedCamera.close.__globals__["process"].wait
    monkeypatch.setattr(
        "edge.cameras.supervised.process.wait", lambda threads, most: waits.append(most) or wait(threads, 0.05)
    )
    camera = SupervisedCamera(lambda: Stuck(1, live=True))
    camera.open()
    camera.close()
    assert waits == [1.0]  # all of them together
