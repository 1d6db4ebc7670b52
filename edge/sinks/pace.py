"""Pace: shows the frames of a file at the speed at which it plays."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Pace"]

_LEAP = 5.0  # seconds: a longer wait for the next frame is left out


class Pace:
    """Waits until it is time for a frame.

    Args:
        stopped: ends a wait when it is set.
        clock: seconds, monotonic.
    """

    def __init__(self, stopped: threading.Event, clock: Callable[[], float]) -> None:
        self._stopped, self._clock = stopped, clock
        self._start: float | None = None  # the clock at time 0 of the frames

    def wait_for(self, seconds: float) -> None:
        """Wait for the frame of this time. Where the times leap, they count from here on."""
        now = self._clock()
        if self._start is None or abs(self._start + seconds - now) > _LEAP:
            self._start = now - seconds
        self._stopped.wait(max(0.0, self._start + seconds - now))
