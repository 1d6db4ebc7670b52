"""SinkThread: one sink in the pipeline, with its own thread and short queue, so that no sink waits for another."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from edge.run.frame import Frame
from edge.run.mailbox import Mailbox
from edge.sinks.base import Sink, SinkEnded
from quietcam.backoff import Backoff
from quietcam.errors import one_line
from quietcam.image import Image
from quietcam.process.priority import give_way
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["SinkThread", "Slot"]

_QUEUE = 2  # frames: one to be taken at once, one on its way
_TICK = 1.0  # seconds between two statuses
_FIRST_RETRY, _LAST_RETRY = 5.0, 60.0  # seconds
_HANGS = 5.0  # seconds after which a call of a live run's sink that has not returned is reported as an error
_OPENING = 3.0  # seconds that a run's start waits for a sink; a page without frames counts as lost after five


class Slot:
    """A denoised frame on its way through all sinks; ``end`` is called when the last sink is done with it.

    Attributes:
        pooled: its image lies in memory that is used again.
        since: when the sensor took it; of a file: when it was read.
        ready: when it was treated.
    """

    __slots__ = ("_end", "_left", "_lock", "_written", "frame", "image", "pooled", "ready", "since")

    def __init__(
        self,
        frame: Frame,
        image: Image,
        pooled: bool,
        since: float,
        ready: float,
        sinks: int,
        end: Callable[[Slot, bool], None],
    ) -> None:
        self.frame, self.image, self.pooled, self.since, self.ready = frame, image, pooled, since, ready
        self._left, self._end, self._written = sinks, end, False
        self._lock = threading.Lock()

    def done(self, written: bool) -> None:
        """Note that one sink has written it, or never will."""
        with self._lock:
            self._left -= 1
            self._written |= written
            last = self._left <= 0
        if last:
            self._end(self, self._written)


_Item = tuple[Slot, Frame | None]
"""A frame on its way through all sinks; and, for a sink that gets the frame unchanged, that frame instead."""


class SinkThread:
    """Writes frames into one sink.

    From a file, every frame is written, and an error ends the run. From a live camera, a sink that cannot keep up loses
    frames, which are counted. A sink that fails is closed and opened again later, while the other sinks go on. Two
    failures end a live run: that of a sink that is alone and never took a frame, since nobody would see anything; and
    that of a sink which is opened here while the start waits for it, since the user may have made a mistake.

    Args:
        sink: the sink; the same thread writes and finishes it.
        live: whether the camera is live.
        alone: there is no other sink.
        clock: seconds, monotonic.
        report: returns the report for ``Sink.status``.
        opens: whether this thread opens the sink; if False, it is open already.

    Attributes:
        thread: its own.
        error: the error that ended it; None if there was none.
        opened: the sink is open, or the first attempt to open it has failed.
        ended: the sink takes no more frames.
    """

    def __init__(
        self,
        sink: Sink,
        live: bool,
        alone: bool,
        clock: Callable[[], float],
        report: Callable[[], dict[str, Any]],
        opens: bool = False,
    ) -> None:
        self.sink = sink
        self.error: BaseException | None = None
        self.opened = not opens
        self.ended = False
        self._live, self._alone = live, alone
        self._checked = self.opened
        self._clock, self._report = clock, report
        self._tells = type(sink).status is not Sink.status
        self._selects = type(sink).wants is not Sink.wants
        self._box = Mailbox[_Item](_QUEUE, newest_wins=live, on_drop=lambda item: item[0].done(False))
        self._untouched = 0
        self._failed = 0
        self._failure: str | None = None
        self._awaited_until = 0.0
        self._backoff = Backoff(_FIRST_RETRY, _LAST_RETRY, clock)
        self._keep = True
        self._left = False  # it hangs, and nobody waits for it any more
        self._busy_since: float | None = None
        self._closed = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"quietcam-sink-{sink.name}", daemon=True)

    def report(self) -> dict[str, Any]:
        """For JSON: the ``frames`` that the sink took, how many of them were ``untouched`` by a network, how many were
        ``dropped``, how often the sink ``failed``, and its present ``error``, which may be a disk that hangs.
        """
        return {
            "name": self.sink.name,
            "frames": self.sink.frames,
            "untouched": self._untouched,
            "dropped": self._box.dropped,
            "failed": self._failed,
            "error": self._trouble(),
            **self.sink.report(),
        }

    def _trouble(self) -> str | None:
        if self.error is not None:
            return str(self.error)
        since, failure = self._busy_since, self._failure
        if failure is None and self._live and since is not None and self._clock() - since >= _HANGS:
            return f"it has not answered for {self._clock() - since:.0f} s"
        return failure

    def start(self) -> None:
        self._awaited_until = self._clock() + _OPENING
        self.thread.start()

    @property
    def awaited(self) -> bool:
        """Whether the start of a run waits for this sink: it is being opened, and has not taken too long."""
        return not (self.opened or self.ended) and self._clock() < self._awaited_until

    def wants(self, frame: Frame) -> bool:
        """Whether the sink keeps the next frame as a picture. A sink that is not open wants nothing."""
        return self._selects and self.opened and not self.ended and self._failure is None and self.sink.wants(frame)

    def put(self, slot: Slot, instead: Frame | None = None) -> None:
        """Hand over a denoised frame, or ``instead`` of it the noisy one. Waits for room where every frame counts."""
        if not self._box.put((slot, instead)):
            slot.done(False)

    def close(self, keep: bool) -> None:
        """Take no more frames. Those that wait are written. Then the sink is finished (``keep``), or its unfinished
        output is deleted. All sinks do so at the same time, so that none waits for one that hangs. Of two calls,
        the first counts.
        """
        if not self._closed.is_set():
            self._keep = keep
        self._closed.set()
        self._box.close()

    def leave(self) -> None:
        """Abandon a thread that has not ended in time: it finishes the sink if it ever wakes up."""
        self.sink.busy = True
        self._left = True
        self._failure = "it did not end in time"

    def _run(self) -> None:
        if self.sink.gives_way and self._live:
            give_way()
        with process.finishing():
            try:
                if not self.opened:
                    self._try(self._open)
                    self.opened = True
                self._work()
            except SinkEnded:
                pass
            except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
                self.error = error
            finally:
                self._box.close()
                while (item := self._box.get(0)) is not None:
                    item[0].done(False)
                self.ended = True
            self._closed.wait()
            try:
                if self._keep:
                    self.sink.close()
                else:
                    self.sink.discard()
            except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
                self.error = self.error or error

    def _open(self) -> None:
        if not self._checked:
            self.sink.check()
            self._checked = True
        self.sink.open()

    def _work(self) -> None:
        due = self._clock()
        while not self._box.ended:
            item = self._box.get(max(0.0, due - self._clock()) if self._tells else None)
            if self._tells and self._clock() >= due:
                due = self._clock() + _TICK
                if self._failure is None:
                    self._try(lambda: self.sink.status(self._report()))
            if item is not None:
                self._take(*item)

    def _take(self, slot: Slot, instead: Frame | None) -> None:
        written = False
        frame, image = (slot.frame, slot.image) if instead is None else (instead, instead.image)
        try:
            if self._failure is None or self._opened_again():
                written = self._try(lambda: self.sink.write(frame, image))
                self._untouched += written and frame.treatment is not None and frame.treatment.share == 0.0
        finally:
            slot.done(written and not self.sink.observer)
        if written and self._backoff.failing:
            self._backoff.reset()
            log.info("The sink %s takes frames again", self.sink.name)

    def _try(self, work: Callable[[], None]) -> bool:
        """Whether ``work`` succeeded. An error that ends the thread is raised."""
        self._busy_since = self._clock()
        try:
            work()
        except SinkEnded:
            raise
        except Exception as error:
            if not self._live or self.awaited or (self._alone and not self.sink.frames):
                raise
            self._fail(error)
            return False
        finally:
            self._busy_since = None
        return True

    def _fail(self, error: Exception) -> None:
        self._failed += 1
        self._failure = one_line(error)
        pause = self._backoff.failed()
        log.warning(
            "The sink %s failed, the run goes on without it and tries it again in %.0f s: %s",
            self.sink.name,
            pause,
            self._failure,
        )
        log.debug("Where the sink %s failed", self.sink.name, exc_info=error)
        with contextlib.suppress(Exception):  # saves all that it can; the log says why the sink failed
            self.sink.close()

    def _opened_again(self) -> bool:
        if self._left or self._backoff.left or not self._try(self._open):
            return False
        self._failure = None
        return True
