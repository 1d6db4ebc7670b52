"""How this process ends after Ctrl-C, SIGTERM or a closed terminal.

A thread that only waits for signals handles them, since the main thread may be inside native code that never returns.
What it does depends on how far the command is:

- Start (imports, options, configuration, camera, model): there is nothing to lose, so the process ends at once.
- Work (every command but ``run``): the main thread gets one KeyboardInterrupt.
- A run with sinks (``stopped_by``): the run is asked to stop. If its main thread does not react, it gets a
  KeyboardInterrupt. Threads that have not ended ``LIMIT`` seconds after the signal are left behind. A second signal
  ends the process at once.

Native code that never releases Python's lock blocks this thread, too. Then only SIGKILL, or the watchdog of a service,
ends the process.
"""

from __future__ import annotations

import _thread
import contextlib
import enum
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from quietcam.terminal.printable import printable

__all__ = ["LIMIT", "Stopping", "process"]

LIMIT = 1.5
"""Seconds from the signal until the process is gone."""

LONGEST = 4.0
"""The same while a sink is still working, for example finishing its file on a slow machine."""

_CODE = 130
_LISTENS = 0.4  # seconds after which a main thread that was asked to stop is interrupted
_ONE_WISH = 0.2  # a second signal within so many seconds does not count: timeout(1) sends two
_RESERVE = 0.2  # seconds between the last wait and the end, for the report and the last lines
_PULSE = 0.05
_WINDOW = 0.3  # seconds over which it is measured whether a thread works
_AT_WORK = 0.02  # the least share of a processor that a working thread gets, also on a busy machine


class _Stage(enum.Enum):
    OUTSIDE = "no command line of ours: signal handlers are left alone"
    START = "nothing to lose"
    WORK = "a command that is stopped by a KeyboardInterrupt"
    CAREFUL = "a run with sinks"


class Stopping:
    """How the process ends; :data:`process` is the one instance. Without ``install``, as in a library, it does nothing.

    Attributes:
        asked: whether a run was asked to stop.
        hangups: how many SIGHUP have come that nobody has handled.
    """

    def __init__(self) -> None:
        self.asked = False
        self.hangups = 0
        self._stage = _Stage.OUTSIDE
        self._hangup_stops = self._interrupt = self._heard = self._early = self._raised = False
        self._since = 0.0
        self._stop: Callable[[], None] = lambda: None
        self._finishing: set[_Effort] = set()  # of threads that are finishing sinks
        self._worked = 0.0  # when one of them last worked
        self._leaving = threading.Lock()

    def install(self) -> None:
        """Handle signals from now on: the first thing that our process does. A second call does nothing."""
        if self._stage is not _Stage.OUTSIDE:
            return
        wake, write = os.pipe()
        for end in (wake, write):
            os.set_blocking(end, False)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signaled)
        # A service starts with SIGHUP ignored, so that none ends it before this line. From here on it handles SIGHUP.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN or os.environ.get("NOTIFY_SOCKET"):
            signal.signal(signal.SIGHUP, self._hung_up)
        signal.signal(signal.SIGURG, self._interrupted)  # for ourselves; ignored by default
        self._stage = _Stage.START
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=_forget)
        threading.Thread(target=self._watch, args=(wake,), name="signals", daemon=True).start()

    def interrupt_main(self) -> None:
        """From now on signals raise a KeyboardInterrupt in the main thread, and SIGHUP has its usual effect."""
        if self._stage is not _Stage.START:
            return
        self._stage = _Stage.WORK
        self._check()
        signal.set_wakeup_fd(-1)
        if signal.getsignal(signal.SIGHUP) == self._hung_up:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            if self.hangups:
                signal.raise_signal(signal.SIGHUP)

    def hangup_stops(self) -> None:
        """From now on SIGHUP stops the run, as Ctrl-C does: there is no configuration to read again."""
        self._hangup_stops = True
        if self.hangups and self._stage is not _Stage.OUTSIDE:
            signal.raise_signal(signal.SIGHUP)  # now it stops the run

    @contextlib.contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """From the start of the block on, a signal calls ``stop`` from another thread.

        After that, ``seconds_left`` limits what is still to be done.
        """
        if self._stage is not _Stage.START:
            yield
            return
        self._stop = stop
        self._stage = _Stage.CAREFUL
        self._check()
        yield  # the stage stays as it is: nothing may interrupt the last lines and damage what was written

    def ends_itself(self) -> None:
        """Tell that the main thread is stopping by itself and needs no KeyboardInterrupt."""
        self._heard = True

    def seconds_left(self, most: float) -> float:
        """Seconds that a wait may take: ``most``, or less after a signal to stop."""
        return min(most, max(0.0, self._due() - _RESERVE - time.monotonic())) if self.asked else most

    def wait(
        self,
        threads: Sequence[threading.Thread],
        most: float,
        hurried: Callable[[], bool] = lambda: True,
        sinks: bool = False,
    ) -> list[threading.Thread]:
        """Wait until ``threads`` end: without limit while it is not ``hurried``, then at most ``most`` seconds.

        After a signal, ``seconds_left`` is the limit, too. For ``sinks`` it is then the only one, so that those that
        are still working get ``LONGEST``. Returns the threads that have not ended.
        """
        last: float | None = None
        while alive := [each for each in threads if each.is_alive()]:
            if last is None and (self.asked or hurried()):
                last = time.monotonic() + most
            left = math.inf if last is None or (sinks and self.asked) else last - time.monotonic()
            left = self.seconds_left(left)
            if left <= 0:
                break
            alive[0].join(min(left, _PULSE))
        return alive

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Tell that this thread finishes a sink: while it works, and does not hang, the limit is ``LONGEST``."""
        effort = _Effort()
        self._finishing.add(effort)
        try:
            yield
        finally:
            self._finishing.discard(effort)

    def leave(self, code: int) -> NoReturn:
        """End the process with ``code``.

        A run, or a command with threads that hang, skips the shutdown of the interpreter: this would wait for threads
        and run destructors of libraries, and a signal during it would change the exit code.
        """
        hangs = self.wait(_ours(), _RESERVE)  # a thread that is about to end, such as the trial of a model, may end
        if not hangs and self._stage in (_Stage.OUTSIDE, _Stage.WORK):
            sys.exit(code)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        self._end("", code)
        while True:  # another thread is ending the process
            time.sleep(LONGEST)

    def _signaled(self, number: int, frame: object) -> None:
        """Signal handler: Python runs it in the main thread, once that runs Python code."""
        del number, frame
        if self._stage is _Stage.START:
            self._early = True
        elif self._stage is _Stage.WORK and not self._raised:
            self._raised = True  # once: a second one could damage what is being saved
            raise KeyboardInterrupt

    def _interrupted(self, number: int, frame: object) -> None:
        del number, frame
        if self._interrupt:
            self._interrupt = False
            raise KeyboardInterrupt

    def _check(self) -> None:
        """Go no further if a signal came in the stage before."""
        while self._early:
            time.sleep(LONGEST)

    def _hung_up(self, number: int, frame: object) -> None:
        del number, frame
        self.hangups += 1

    def _watch(self, wake: int) -> None:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        while True:
            poll.poll(None if not self.asked or self._stage is _Stage.WORK else _PULSE * 1000)
            numbers = b""
            with contextlib.suppress(BlockingIOError):
                numbers = os.read(wake, 256)
            stops = {signal.SIGINT, signal.SIGTERM} | ({signal.SIGHUP} if self._hangup_stops else set())
            if stops & set(numbers):
                self._told()
            if self.asked and self._stage is not _Stage.WORK:
                self._look()

    def _told(self) -> None:
        now = time.monotonic()
        if self._stage is _Stage.START or self._early:
            self._end("interrupted; nothing was begun")
        elif self._stage is not _Stage.CAREFUL:
            return
        elif not self.asked:
            self._since, self.asked = now, True
            _thread.start_new_thread(self._stop, ())
        elif now - self._since > _ONE_WISH:
            self._end("told to stop a second time; what is not finished is lost")

    def _look(self) -> None:
        """After a signal: interrupt a main thread that does not react, and end the process when time is up."""
        now = time.monotonic()
        if not self._heard and now - self._since > _LISTENS:
            self._heard = self._interrupt = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)
        for effort in tuple(self._finishing):
            if effort.works(now):
                self._worked = now
        if now >= self._due():
            self._end("interrupted; what was finished is kept")

    def _due(self) -> float:
        """When the process must have ended, by the monotonic clock."""
        return self._since + (LONGEST if time.monotonic() - self._worked < 2 * _WINDOW else LIMIT)

    def _end(self, words: str, code: int = _CODE) -> None:
        """End the process; say why, and which threads are left behind, without waiting for a slow reader."""
        if not self._leaving.acquire(blocking=False):
            return
        names = [thread.name.removeprefix("quietcam-") for thread in _ours()] if self._stage is _Stage.CAREFUL else []
        left = f"left behind, as it had not ended: {', '.join(names)}" if names else ""
        if line := "; ".join(filter(None, [words, left])):
            written = _thread.allocate_lock()
            written.acquire()
            _thread.start_new_thread(_write, (f"quietcam: {printable(line)}\n", written))
            written.acquire(timeout=_RESERVE / 2)
        os._exit(code)


class _Effort:
    """Whether the thread that creates this object is working, by the processor time that it uses."""

    def __init__(self) -> None:
        # macOS has no such clock: there no thread counts as working.
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        self._clock: int | None = None if clock_of is None else clock_of(threading.get_ident())
        self._since, self._computed = time.monotonic(), self._time()
        self._last = True  # until it is measured

    def works(self, now: float) -> bool:
        """Whether it has worked within the last ``_WINDOW``. A thread that hangs sleeps, or wakes only now and then."""
        if now - self._since >= _WINDOW:
            computed = self._time()
            self._last = computed - self._computed > _AT_WORK * (now - self._since)
            self._since, self._computed = now, computed
        return self._last

    def _time(self) -> float:
        with contextlib.suppress(OSError):  # the thread has ended
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        return 0.0


def _ours() -> list[threading.Thread]:
    """Our threads that have not ended."""
    return [each for each in threading.enumerate() if each.name.startswith("quietcam-")]


def _write(line: str, written: _thread.LockType) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write(line)
        sys.stderr.flush()
    written.release()


def _forget() -> None:
    """In a forked process: it handles its signals itself."""
    signal.set_wakeup_fd(-1)


process = Stopping()
"""This process."""
