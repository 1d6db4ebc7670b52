"""Pacing: how often an alarm may be told, so that a camera that comes and goes does not cause a storm."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from edge.events.event import Event

__all__ = ["Pacing"]

_BURST = 4  # events about one subject that may be told in a row
_REFILL = 60.0  # seconds after which one more may be told
_SUBJECTS = 64  # most subjects that are remembered


class Pacing:
    """Holds events until they may be told: for each subject ``burst`` in a row, then one in ``refill`` seconds.

    While a subject must wait, only its newest event is kept: what is told last is how things are. The memory is
    bounded: ``burst`` events of each subject, and ``_SUBJECTS`` subjects. For one thread, or under a lock.

    Args:
        burst, refill: the number of events, and seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self, burst: int = _BURST, refill: float = _REFILL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._refill, self._clock = burst, refill, clock
        self._subjects: dict[str, _Subject] = {}

    def put(self, event: Event) -> None:
        """Take an event that shall be told."""
        subject = self._subjects.pop(event.subject, None) or _Subject(float(self._burst), self._clock())
        self._subjects[event.subject] = subject  # the newest last
        subject.waiting.append(event)
        while len(subject.waiting) > max(1, int(self._tokens(subject))):
            subject.waiting.popleft()
            subject.left_out += 1
        while len(self._subjects) > _SUBJECTS:
            del self._subjects[next(iter(self._subjects))]

    def take(self) -> tuple[Event, int] | None:
        """The oldest event that may be told now, and how many about its subject were left out; or None."""
        ready = [each for each in self._subjects.values() if each.waiting and self._tokens(each) >= 1.0]
        if not ready:
            return None
        subject = min(ready, key=lambda each: each.waiting[0].time)
        subject.tokens, subject.since = self._tokens(subject) - 1.0, self._clock()
        left_out, subject.left_out = subject.left_out, 0
        return subject.waiting.popleft(), left_out

    def pause(self) -> float | None:
        """Seconds until ``take`` has an event; None if nothing waits."""
        lacks = [max(0.0, 1.0 - self._tokens(each)) for each in self._subjects.values() if each.waiting]
        return None if not lacks else min(lacks) * self._refill

    def _tokens(self, subject: _Subject) -> float:
        return min(float(self._burst), subject.tokens + (self._clock() - subject.since) / self._refill)


class _Subject:
    """``tokens``: how many events may be told, as of ``since``."""

    __slots__ = ("left_out", "since", "tokens", "waiting")

    def __init__(self, tokens: float, since: float) -> None:
        self.tokens, self.since = tokens, since
        self.waiting: deque[Event] = deque()
        self.left_out = 0
