"""The report of a sink thread about a sink that does not return."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from edge.run.frame import Frame
from edge.run.sink_thread import SinkThread, Slot
from edge.sinks.base import Sink
from quietcam.image import Image
from tests.small_models import picture
from tests.waiting import WAIT, ended, until


class Hangs(Sink):
    """Its disk hangs at each frame until the test releases it."""

    name = "hangs"

    def __init__(self) -> None:
        self.hangs, self.go_on = threading.Event(), threading.Event()

    def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
        self.hangs.set()
        assert self.go_on.wait(WAIT)
        self.frames += 1


def test_a_live_runs_sink_that_hangs_is_an_error_for_as_long_as_it_does() -> None:
    error, written = _hanging(live=True)
    assert error == "it has not answered for 6 s"
    assert written is None


def test_a_file_waits_for_its_sink() -> None:
    """As with a slow reader of a pipe."""
    assert _hanging(live=False) == (None, None)


def _hanging(live: bool) -> tuple[object, object]:
    """The error while the sink hangs, and after it has returned."""
    now, sink, image = [0.0], Hangs(), picture(8, 8)
    thread = SinkThread(sink, live, True, lambda: now[0], dict)
    thread.start()
    try:
        assert thread.report()["error"] is None
        thread.put(Slot(Frame(image, 0.0, 0), image, False, 0.0, 0.0, 1, lambda *_: None))
        assert sink.hangs.wait(WAIT)
        now[0] = 4.0
        assert thread.report()["error"] is None
        now[0] = 6.0
        error = thread.report()["error"]
    finally:
        sink.go_on.set()
    until(lambda: sink.frames == 1 and thread.report()["error"] is None)
    thread.close(keep=True)
    ended(thread.thread)
    return error, thread.report()["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has priorities of threads")
@pytest.mark.parametrize(
    ("gives_way", "live", "behind"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_a_sink_that_computes_much_gives_way_to_a_live_network(gives_way: bool, live: bool, behind: bool) -> None:
    """Of a file every frame is waited for, so there is nobody to give way to."""
    found: list[int] = []

    class Computes(Sink):
        name = "computes"

        def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
            found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            self.frames += 1

    sink, image = Computes(), picture(8, 8)
    sink.gives_way = gives_way
    thread = SinkThread(sink, live, True, time.monotonic, dict)
    thread.start()
    thread.put(Slot(Frame(image, 0.0, 0), image, False, 0.0, 0.0, 1, lambda *_: None))
    until(lambda: sink.frames)
    thread.close(keep=True)
    ended(thread.thread)
    assert (found[0] > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == behind
