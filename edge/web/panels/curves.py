"""Curves: the noise and the temperature of the last hour, in bounded memory, with gaps where nothing was measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["EVERY", "POINTS", "Curves"]

EVERY = 10.0
"""Seconds of one point: the mean of what was measured in them."""

POINTS = 360
"""Points of a curve: an hour."""

_KEYS = {"noise": "noise_sigma", "temperature": "temperature_c"}
"""Each curve, and where the report has its value."""


class Curves:
    """Takes the reports of a run, and gives curves. ``add`` is for one thread, ``report`` for any.

    The noise counts only while frames come: the report of a camera that is lost still holds the last frame's.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rings = {name: _Ring() for name in _KEYS}
        self._frames: int | None = None

    def add(self, report: dict[str, Any]) -> None:
        """Take a report, as ``Health.report`` gives it, about once a second."""
        number = int(self._clock() // EVERY)
        frames, before = report.get("frames"), self._frames
        self._frames = frames
        for name, key in _KEYS.items():
            value = report.get(key)
            if isinstance(value, int | float) and not (name == "noise" and frames == before):
                self._rings[name].add(number, float(value))

    def report(self) -> dict[str, Any]:
        """For JSON: ``every`` in seconds, and for each curve its ``POINTS`` values, the oldest first; the last one is
        of the present seconds. None where nothing was measured.
        """
        number = int(self._clock() // EVERY)
        wanted = range(number - POINTS + 1, number + 1)
        return {"every": EVERY, **{name: [ring.mean(each) for each in wanted] for name, ring in self._rings.items()}}


class _Ring:
    """The newest points of a curve by their numbers. A point is replaced as a whole, so readers need no lock."""

    def __init__(self) -> None:
        self._points: list[tuple[int, float]] = [(-1, 0.0)] * POINTS  # number and mean
        self._number, self._total, self._count = -1, 0.0, 0

    def add(self, number: int, value: float) -> None:
        if number != self._number:
            self._number, self._total, self._count = number, 0.0, 0
        self._total += value
        self._count += 1
        self._points[number % POINTS] = number, round(self._total / self._count, 2)

    def mean(self, number: int) -> float | None:
        known, mean = self._points[number % POINTS]
        return mean if known == number else None
