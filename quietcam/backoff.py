"""Backoff: how long to wait before the next attempt, longer after each failure."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Delays between attempts: ``first``, then twice as long after each further failure, up to ``last``.

    It measures and does not sleep: callers wait in their own way, for example on an event that ends the wait early.

    Args:
        first, last: seconds.
        clock: seconds, monotonic.

    Example:
        >>> backoff = Backoff(1.0, 5.0, clock=lambda: 100.0)
        >>> [backoff.failed() for _ in range(4)]
        [1.0, 2.0, 4.0, 5.0]
        >>> backoff.left
        5.0
    """

    def __init__(self, first: float, last: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._last, self._clock = first, last, clock
        self._next = first
        self._due = float("-inf")

    @property
    def next(self) -> float:
        """Seconds that follow the next failure."""
        return self._next

    @property
    def left(self) -> float:
        """Seconds until the next attempt; 0 where it may begin now."""
        return max(0.0, self._due - self._clock())

    @property
    def failing(self) -> bool:
        """Whether an attempt has failed since the last success."""
        return self._due > float("-inf")

    def failed(self) -> float:
        """An attempt failed. Gives the seconds until the next one, which begin now."""
        delay = self._next
        self._due = self._clock() + delay
        self._next = min(2 * delay, self._last)
        return delay

    def reset(self) -> None:
        """An attempt succeeded, or something changed: the next one may begin at once."""
        self._next, self._due = self._first, float("-inf")
