"""Sinks that a live run opens: one that hangs delays nothing else, and a user's mistake is reported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.run.frame import Frame
from edge.run.health import degradation
from edge.run.pipeline import Pipeline
from edge.run.sink_thread import SinkThread
from edge.sinks import Sink, open_sink
from edge.sinks.targets import checked_targets
from quietcam.errors import UsageError
from tests.edge.run.faults.test_ending import Endless, Finishes, in_thread
from tests.edge.run.parts import Numbers, PlusOne
from tests.waiting import ended, until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("run.sink_thread._HANGS", "run.pipeline._SOON"):
        monkeypatch.setattr(f"edge.{name}", 0.05)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the start nor the end of a run waits long for a sink that hangs."""
    for name in ("run.sink_thread._OPENING", "run.pipeline._GRACE"):
        monkeypatch.setattr(f"edge.{name}", 0.05)


class Opens(Finishes):
    """A sink whose ``open`` calls ``how``."""

    def __init__(self, name: str, how: Callable[[], object] = int) -> None:
        super().__init__(name)
        self.checks = self.opens = self.asked = 0
        self._how = how

    def check(self) -> None:
        self.checks += 1

    def open(self) -> None:
        self._how()
        self.opens += 1

    def wants(self, frame: Frame) -> bool:  # noqa: ARG002
        self.asked += 1
        return True


def told(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in pipeline.health.report()["sinks"]}


@pytest.mark.usefixtures("impatient")
class TestOneThatHangs:
    def test_works_when_its_disk_is_back(self, hang: threading.Event) -> None:
        good, hung = Opens("good"), Opens("hung", hang.wait)
        pipeline = Pipeline(Endless(), PlusOne(), [hung, good], opens=True)
        run = in_thread(pipeline.run)
        until(lambda: len(good.taken) > 100)
        until(lambda: "it has not answered for" in (told(pipeline)["hung"]["error"] or ""))
        assert told(pipeline)["good"]["error"] is None
        assert told(pipeline)["hung"]["dropped"] > 0
        found = degradation(pipeline.health.report())
        assert found is not None
        assert found.words == "1 of 2 sinks keeps no frames"
        hang.set()
        until(lambda: hung.taken and told(pipeline)["hung"]["error"] is None)
        pipeline.end()
        ended(run)
        assert hung.ends == good.ends == ["closed"]
        assert (hung.checks, hung.opens) == (1, 1)

    @pytest.mark.parametrize("told_to", [True, False])
    def test_is_left_when_the_run_ends_and_closed_when_it_wakes(self, told_to: bool, hang: threading.Event) -> None:
        good, hung = Opens("good"), Opens("hung", hang.wait)
        camera = Endless() if told_to else Numbers(20, live=True)
        pipeline = Pipeline(camera, PlusOne(), [hung, good], opens=True)
        run = in_thread(pipeline.run)
        until(lambda: good.taken)
        if told_to:
            pipeline.end()
        ended(run)
        assert good.ends == ["closed"]
        assert hung.ends == []
        assert told(pipeline)["hung"]["error"] == "it did not end in time"
        hang.set()
        until(lambda: hung.ends == ["closed"])
        assert hung.opens == 1

    def test_and_then_fails_is_an_error_and_opened_again(
        self, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.run.sink_thread._FIRST_RETRY", 0.0)
        again, tries = threading.Event(), []

        def late() -> None:
            tries.append(hang.wait())
            if not again.is_set():
                raise UsageError("Another process has it")

        good, hung = Opens("good"), Opens("hung", late)
        pipeline = Pipeline(Endless(), PlusOne(), [hung, good], opens=True)
        run = in_thread(pipeline.run)
        until(lambda: good.taken)
        hang.set()
        until(lambda: len(tries) > 3)
        until(lambda: told(pipeline)["hung"]["error"] == "Another process has it")
        again.set()
        until(lambda: hung.taken and told(pipeline)["hung"]["error"] is None)
        pipeline.end()
        ended(run)
        assert hung.checks == 1

    def test_does_not_hide_a_mistake_elsewhere(self, hang: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.run.sink_thread._OPENING", 300.0)

        def fail() -> None:
            raise UsageError("no such place")

        sinks = [Opens("hung", hang.wait), Opens("wrong", fail), Opens("good")]
        with pytest.raises(UsageError, match="no such place"):
            Pipeline(Numbers(5, live=True), PlusOne(), sinks, opens=True).run()
        assert sinks[2].ends == ["discarded"]

    def test_does_not_hold_up_a_stop_while_the_start_waits(
        self, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edge.run.sink_thread._OPENING", 300.0)
        good = Opens("good")
        pipeline = Pipeline(Endless(), PlusOne(), [Opens("hung", hang.wait), good], opens=True)
        run = in_thread(pipeline.run)
        until(lambda: good.opens)
        pipeline.end()
        ended(run)
        assert good.ends == ["closed"]


def test_frames_wait_for_one_that_is_slow(hang: threading.Event) -> None:
    """A slow card loses none of them."""
    slow, good = Opens("slow", hang.wait), Opens("good")
    pipeline = Pipeline(Numbers(2, live=True), PlusOne(), [slow, good], opens=True)
    run = in_thread(pipeline.run)
    until(lambda: good.opens)
    assert not good.taken
    hang.set()
    ended(run)
    assert len(slow.taken) == len(good.taken) > 0


def test_one_that_is_not_open_is_not_asked_what_it_wants() -> None:
    """If it were asked, a spool would request full treatment of each frame, and store none."""
    frame, sink = Frame(np.zeros((1, 1, 3), np.uint8), 0.0, 0), Opens("hung")
    assert not SinkThread(sink, True, False, lambda: 0.0, dict, opens=True).wants(frame)
    assert sink.asked == 0
    assert SinkThread(sink, True, False, lambda: 0.0, dict).wants(frame)


def test_a_file_run_opens_nothing_and_waits_for_nothing() -> None:
    sink = Opens("open already")
    Pipeline(Numbers(5), PlusOne(), [sink]).run()
    assert (sink.checks, sink.opens, len(sink.taken)) == (0, 0, 5)


@pytest.mark.parametrize("there", ["clip.webm", "pictures/mine.txt"])
def test_what_is_there_is_not_replaced(there: str, tmp_path: Path) -> None:
    place = tmp_path / there
    place.parent.mkdir(exist_ok=True)
    place.write_text("mine")
    target = str(tmp_path / there.split("/")[0])
    sink: Sink = open_sink(target, live=True)
    with pytest.raises(UsageError, match="`overwrite`"):
        Pipeline(Numbers(5, live=True), PlusOne(), [sink], opens=True).run()
    assert place.read_text() == "mine"


def test_where_a_sink_is_is_not_waited_for(hang: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(path: Path) -> Path:
        if path.parts[1] == "hanging":
            hang.wait()
        return path

    monkeypatch.setattr("edge.sinks.targets.resolved", resolved)
    monkeypatch.setattr("edge.sinks.targets._LOOKING", 0.05)
    targets = ["web", "/hanging/clip.webm", "spool:/hanging/spool,every=1"]
    assert checked_targets("/dev/video0", targets) == targets
    with pytest.raises(UsageError, match="a different place"):
        checked_targets(None, ["/hanging/spool", "spool:/hanging/spool,every=1"])
    with pytest.raises(UsageError, match="must not be the source"):
        checked_targets("/hanging/clip.webm", ["/hanging/clip.webm"])
