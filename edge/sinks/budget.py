"""The daily write budget: how much may be written within any 24 hours, over restarts and clock jumps."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quietcam.atomic import write_json

__all__ = ["Budget"]

_HOUR = 3600.0
_HOURS = 25  # the running hour and 24 before it: never less than a day, at most an hour more
_CHUNKS = 100  # parts of the budget that are set aside at once


class Budget:
    """Counts what is written by hours of running time, which no clock jump can turn.

    What is set aside for writing is on the disk before it is written, in steps of a hundredth, so a power cut can make
    the count too high by one step and never too low. Time without power counts by the wall clock, as far as that is
    believable: at least nothing, at most a day.

    Args:
        limit: bytes within 24 hours; None: no limit, and nothing is kept.
        path: where the count lies.
        clock: seconds, monotonic.
        wall: unix seconds.
    """

    def __init__(
        self,
        limit: int | None,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.limit = limit
        self._path = path
        self._clock, self._wall = clock, wall
        self._hours = [0] * _HOURS  # the newest first
        self._into_hour = 0.0
        self._seen = clock()
        self._set_aside = 0  # counted already, not yet written

    @property
    def spent(self) -> int:
        """Bytes of the last 24 hours that are written."""
        self._advance()
        return sum(self._hours) - self._set_aside

    def load(self) -> None:
        """Take up the count of an earlier run; a damaged one counts as a full day's, since nobody knows."""
        if self.limit is None:
            return
        self._seen = self._clock()
        self._set_aside = 0
        for leftover in self._path.parent.glob(f".{self._path.stem}.????????{self._path.suffix}"):
            with contextlib.suppress(OSError):  # of a power cut in the middle of a save
                leftover.unlink()
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self._hours, self._into_hour = [0] * _HOURS, 0.0
            return
        except (OSError, UnicodeDecodeError):
            text = ""
        try:
            self._hours, self._into_hour, saved = _parsed(json.loads(text))
        except (ValueError, KeyError, TypeError):
            self._hours, self._into_hour = [self.limit, *[0] * (_HOURS - 1)], 0.0
            return
        self._pass(min(max(0.0, self._wall() - saved), _HOURS * _HOUR))

    def allows(self, size: int) -> bool:
        """Whether ``size`` more bytes may be written now; if so they are set aside.

        Raises:
            StorageError: the count cannot be written down.
        """
        if self.limit is None:
            return True
        self._advance()
        if size <= self._set_aside:
            return True
        room = self.limit - sum(self._hours) + self._set_aside
        if size > room:
            return False
        more = min(room, max(size, self.limit // _CHUNKS)) - self._set_aside
        self._hours[0] += more
        self._set_aside += more
        self._save()
        return True

    def wrote(self, size: int) -> None:
        """So many of the bytes set aside are used."""
        self._set_aside = max(0, self._set_aside - size)

    def close(self) -> None:
        """Give back what was set aside and not used.

        Raises:
            StorageError: the count cannot be written down.
        """
        if self.limit is None:
            return
        self._advance()
        self._hours[0] = max(0, self._hours[0] - self._set_aside)
        self._set_aside = 0
        self._save()

    def _advance(self) -> None:
        now = self._clock()
        self._pass(max(0.0, now - self._seen))
        self._seen = now

    def _pass(self, seconds: float) -> None:
        self._into_hour += seconds
        hours = int(self._into_hour // _HOUR)
        self._into_hour -= hours * _HOUR
        if hours and self._set_aside:  # what is not written yet belongs to the hour in which it will be
            self._hours[0] = max(0, self._hours[0] - self._set_aside)
        for _ in range(min(hours, _HOURS)):
            self._hours = [0, *self._hours[:-1]]
        if hours and self._set_aside:
            self._hours[0] += self._set_aside

    def _save(self) -> None:
        write_json(self._path, {"hours": self._hours, "into_hour": round(self._into_hour, 1), "saved": self._wall()})


def _parsed(values: Any) -> tuple[list[int], float, float]:
    hours = [int(each) for each in values["hours"]]
    into_hour, saved = float(values["into_hour"]), float(values["saved"])
    if len(hours) != _HOURS or min(hours) < 0 or not 0 <= into_hour <= _HOUR:
        raise ValueError
    return hours, into_hour, saved
