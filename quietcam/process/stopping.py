"""How this process ends when it is told to: by Ctrl-C, SIGTERM or a closed terminal.

A thread that only waits for signals takes care of it, since the main one may be inside foreign code that never returns.
What happens depends on how far the command is:

- Start (imports, options, configuration, camera, model): nothing is lost, so the process ends at once.
- Work: the main thread gets a KeyboardInterrupt, once, as every command but ``run`` wants it.
- A run that has sinks (``stopped_by``): it is asked to end. Where its thread does not listen it gets the
  KeyboardInterrupt, and what has not ended ``LIMIT`` seconds after the signal is left behind. A second signal ends the
  process at once.

What holds Python's lock for ever, as native code may that never returns to Python, holds up this thread, too: then only
SIGKILL, or a service's watchdog, ends the process.
"""

from __future__ import annotations

import _thread
import contextlib
import enum
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
"""The same where a sink is not hanging but at work, finishing its file on a slow machine."""

_CODE = 130
_LISTENS = 0.4  # seconds after which a main thread that was asked to end is interrupted
_ONE_WISH = 0.2  # seconds within which a second signal is the same wish: timeout(1) sends two
_RESERVE = 0.2  # seconds between the last wait and the end: for the report, and for the lines that are said
_PULSE = 0.05
_WINDOW = 0.3  # seconds over which is measured whether a thread is at work
_AT_WORK = 0.02  # the share of a processor that it then has at least, on a machine that is busy with other things


class _Stage(enum.Enum):
    OUTSIDE = "no command line: handlers are another's"
    START = "nothing to lose"
    WORK = "a command that takes a KeyboardInterrupt"
    CAREFUL = "a run with sinks"


class Stopping:
    """The state of one process: :data:`process`. In a library, where ``install`` is not called, it does nothing.

    Attributes:
        asked: whether a run was told to stop.
        hangups: how often SIGHUP came while nobody took it.
    """

    def __init__(self) -> None:
        self.asked = False
        self.hangups = 0
        self._stage = _Stage.OUTSIDE
        self._hangup_stops = self._interrupt = self._heard = self._early = self._raised = False
        self._since = 0.0
        self._stop: Callable[[], None] = lambda: None
        self._finishing: set[_Effort] = set()  # of threads that finish sinks
        self._worked = 0.0  # when one of them was at work last
        self._leaving = threading.Lock()

    def install(self) -> None:
        """Take the signals, and begin with the start: the first thing that a process does. Again it does nothing."""
        if self._stage is not _Stage.OUTSIDE:
            return
        wake, write = os.pipe()
        for end in (wake, write):
            os.set_blocking(end, False)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._signalled)
        # A service starts with SIGHUP ignored, so that none ends it before this line; it wants to hear it all the same.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN or os.environ.get("NOTIFY_SOCKET"):
            signal.signal(signal.SIGHUP, self._hung_up)
        signal.signal(signal.SIGURG, self._interrupted)  # our own; by default it means nothing
        self._stage = _Stage.START
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=_forget)
        threading.Thread(target=self._watch, args=(wake,), name="signals", daemon=True).start()

    def interrupt_main(self) -> None:
        """From now on a KeyboardInterrupt ends the command; SIGHUP does what it does anywhere."""
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
        """There is nothing to read again: SIGHUP means that the terminal was closed, and ends the run like Ctrl-C."""
        self._hangup_stops = True
        if self.hangups and self._stage is not _Stage.OUTSIDE:
            signal.raise_signal(signal.SIGHUP)  # now it is heard as a wish to stop

    @contextlib.contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """While the block runs, ``stop`` is called, from another thread, when the process is told to end. From then on
        all that is left to do has ``seconds_left`` seconds.
        """
        if self._stage is not _Stage.START:
            yield
            return
        self._stop = stop
        self._stage = _Stage.CAREFUL
        self._check()
        yield  # and so it stays: what was written is not to be hurt on the last few lines

    def ends_itself(self) -> None:
        """The main thread is about to end: it needs no KeyboardInterrupt."""
        self._heard = True

    def seconds_left(self, most: float) -> float:
        """Seconds that a wait may take: ``most``, or less where the process is told to end."""
        return min(most, max(0.0, self._due() - _RESERVE - time.monotonic())) if self.asked else most

    def wait(
        self, threads: Sequence[threading.Thread], most: float, hurried: Callable[[], bool] = lambda: True
    ) -> list[threading.Thread]:
        """Wait for the end of ``threads``: for ever as long as it is not ``hurried``, then up to ``most`` seconds, and
        no longer than ``seconds_left``. Those that have not ended.
        """
        last: float | None = None
        while alive := [each for each in threads if each.is_alive()]:
            if last is None and (self.asked or hurried()):
                last = time.monotonic() + most
            left = _PULSE if last is None else self.seconds_left(last - time.monotonic())
            if left <= 0:
                break
            alive[0].join(min(left, _PULSE))
        return alive

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """This thread finishes a sink: while it is at work, and does not hang, the process waits ``LONGEST``."""
        effort = _Effort()
        self._finishing.add(effort)
        try:
            yield
        finally:
            self._finishing.discard(effort)

    def leave(self, code: int) -> NoReturn:
        """End the process with ``code``. A run ends without the interpreter's own end, and so does what hangs: that end
        waits for threads, runs destructors of libraries, and a signal in the midst of it would change the code.
        """
        hangs = self.wait(_ours(), _RESERVE)  # one that was just let go, as a model's trial, is not left behind
        if not hangs and self._stage in (_Stage.OUTSIDE, _Stage.WORK):
            sys.exit(code)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        self._end("", code)
        while True:  # another thread is just about to end the process
            time.sleep(LONGEST)

    def _signalled(self, number: int, frame: object) -> None:
        """In the main thread, when it gets to it."""
        del number, frame
        if self._stage is _Stage.START:
            self._early = True
        elif self._stage is _Stage.WORK and not self._raised:
            self._raised = True  # once: a second one must not hurt what is being saved
            raise KeyboardInterrupt

    def _interrupted(self, number: int, frame: object) -> None:
        del number, frame
        if self._interrupt:
            self._interrupt = False
            raise KeyboardInterrupt

    def _check(self) -> None:
        """Whoever was told to end in the stage before goes no further."""
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
            self._end("told to end once more, so what was not finished is left")

    def _look(self) -> None:
        """Once told: interrupt who does not listen, and end what takes too long."""
        now = time.monotonic()
        if not self._heard and now - self._since > _LISTENS:
            self._heard = self._interrupt = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)
        for effort in tuple(self._finishing):
            if effort.is_work(now):
                self._worked = now
        if now >= self._due():
            self._end("interrupted; what was finished is kept")

    def _due(self) -> float:
        """When the process must be gone, monotonic."""
        return self._since + (LONGEST if time.monotonic() - self._worked < 2 * _WINDOW else LIMIT)

    def _end(self, words: str, code: int = _CODE) -> None:
        """End the process; say why, and what is left behind, without waiting for who reads it."""
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
    """Whether the thread that makes this is at work, by the time for which it has a processor."""

    def __init__(self) -> None:
        # macOS has no such clock: there no thread counts as at work.
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        self._clock: int | None = None if clock_of is None else clock_of(threading.get_ident())
        self._since, self._computed = time.monotonic(), self._time()
        self._last = True  # until it was measured

    def is_work(self, now: float) -> bool:
        """Whether it was in the last ``_WINDOW``. One that hangs sleeps, or wakes for a look now and then."""
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
    """Threads of a run that have not ended."""
    return [each for each in threading.enumerate() if each.name.startswith("quietcam-")]


def _write(line: str, written: _thread.LockType) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write(line)
        sys.stderr.flush()
    written.release()


def _forget() -> None:
    """In a forked process, whose signals are not this one's."""
    signal.set_wakeup_fd(-1)


process = Stopping()
"""This process."""
