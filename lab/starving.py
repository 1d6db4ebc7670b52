"""How long the host let a guest wait for a processor: a guest that starves is slow, and that is no fault of quietcam.

Linux counts for each thread how long it was ready to run while others ran (`/proc/PID/task/TID/schedstat`). A guest
that sleeps waits for nothing, so a program in it that sleeps too long is not excused.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["Clock", "Waits", "waited"]

_EVERY = 0.2  # seconds between two readings


def waited(process: int) -> dict[str, float]:
    """Seconds that each thread of a process has waited for a processor so far; empty if the kernel does not tell."""
    found = {}
    for each in Path(f"/proc/{process}/task").glob("*/schedstat"):
        try:
            found[each.parent.name] = int(each.read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):  # the thread has ended
            continue
    return found


class Waits:
    """Reads them again and again in a thread until the process ends.

    Args:
        process: of the guest.
        read: as ``waited``.
    """

    def __init__(self, process: int, read: Callable[[int], Mapping[str, float]] = waited) -> None:
        self._read = read
        self._process = process
        self._times: list[float] = []
        self._waits: list[Mapping[str, float]] = []
        threading.Thread(target=self._watch, daemon=True, name="lab-waits").start()

    def look(self) -> bool:
        """Read once; whether there was anything to read."""
        found = self._read(self._process)
        if found:
            self._waits.append(found)
            self._times.append(time.monotonic())
        return bool(found)

    def _watch(self) -> None:
        while self.look():
            time.sleep(_EVERY)

    def between(self, begin: float, end: float) -> float:
        """Seconds between two times of the monotonic clock: of the thread that waited longest, at most all of them."""
        times = self._times[: len(self._waits)]
        if len(times) < 2 or end <= begin:
            return 0.0
        first = max(0, bisect_right(times, begin) - 1)
        last = min(len(times) - 1, bisect_left(times, end))
        before, after = self._waits[first], self._waits[last]
        longest = max((after[each] - before.get(each, 0.0) for each in after), default=0.0)
        # Readings lie a little before and after: of the waiting there, the share that lies between counts.
        share = min(1.0, (end - begin) / max(times[last] - times[first], 1e-9))
        return min(end - begin, longest * share)

    @property
    def share(self) -> float:
        """Of all the time, 0 to 1."""
        times = self._times[: len(self._waits)]
        span = times[-1] - times[0] if len(times) > 1 else 0.0
        return self.between(times[0], times[-1]) / span if span else 0.0


class Clock:
    """The guest's clock beside the host's: each question and answer bounds how far they are apart."""

    def __init__(self) -> None:
        self._least, self._most = float("-inf"), float("inf")

    def heard(self, asked: float, there: float, answered: float) -> None:
        """The guest's clock showed ``there`` between two times of the host's."""
        self._least, self._most = max(self._least, asked - there), min(self._most, answered - there)

    def here(self, there: float) -> float:
        """The host's time at a time of the guest."""
        return there + (self._least + self._most) / 2
