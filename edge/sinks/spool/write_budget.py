"""WriteBudget: limits the bytes that are written within any 24 hours, across restarts and clock jumps."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quietcam.files.atomic import write_json
from quietcam.files.strict_json import parse_object

__all__ = ["WriteBudget"]

_HOUR = 3600.0
_HOURS = 25  # the present hour and the 24 before it: at least a day, at most one hour more
_CHUNKS = 100  # bytes are set aside in parts of the budget: one hundredth each time
_MOST_BYTES = 1 << 14  # of the file; ours has 600


class WriteBudget:
    """Counts written bytes by hours of running time, which a clock jump cannot change.

    Bytes are set aside, which means counted on the disk, before they are written, in steps of a hundredth of the
    budget. So a power cut can make the count too high by one step, and never too low. Time without power is taken from
    the wall clock: at least 0, at most a day.

    A count is saved before it is used: if it cannot be saved, no frame may be written.

    Args:
        limit: bytes within 24 hours; None: no limit, and no count is kept.
        path: the file of the count.
        clock: seconds, monotonic.
        wall: unix seconds.

    Attributes:
        damaged: whether the saved count could not be read.
    """

    def __init__(
        self,
        limit: int | None,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.limit = limit
        self.damaged = False
        self._path = path
        self._clock, self._wall = clock, wall
        self._hours = [0] * _HOURS  # the newest first
        self._into_hour = 0.0
        self._seen = clock()
        self._set_aside = 0  # counted but not written yet
        self._folder: Callable[[], int] | None = None

    @property
    def spent(self) -> int:
        """Bytes that were written in the last 24 hours."""
        self._advance()
        return sum(self._hours) - self._set_aside

    def load(self, folder: Callable[[], int] | None = None) -> None:
        """Continue the count of an earlier run. A damaged count is taken as a spent budget.

        Args:
            folder: returns the descriptor of the folder with the count. Defaults to the folder of its path.
        """
        if self.limit is None:
            return
        self._folder = folder
        self._seen = self._clock()
        self._set_aside = 0
        self.damaged = False
        self._remove_leftovers()
        self._hours, self._into_hour = [0] * _HOURS, 0.0
        try:
            self._hours, self._into_hour, saved = self._read()
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            self._hours[0] = self.limit
            self.damaged = True
            return
        self._pass(min(max(0.0, self._wall() - saved), _HOURS * _HOUR))

    def moved(self) -> None:
        """Move the count to the folder at the path now. If that has a count, the higher number of each hour counts."""
        if self.limit is None:
            return
        self._advance()
        hours, into_hour = self._hours, self._into_hour
        hours[0] -= self._set_aside
        self.load(self._folder)
        self._hours = [max(each) for each in zip(hours, self._hours, strict=True)]
        self._into_hour = min(into_hour, self._into_hour)  # so that no hour is forgotten early

    def allows(self, size: int) -> bool:
        """Whether ``size`` more bytes may be written now; if so, they are set aside.

        Raises:
            StorageError: the count cannot be saved. Nothing is set aside.
        """
        if self.limit is None:
            return True
        self._advance()
        more = 0
        if size > self._set_aside:
            room = self.limit - sum(self._hours) + self._set_aside
            if size > room:
                return False
            more = min(room, max(size, self.limit // _CHUNKS)) - self._set_aside
        if more:
            self._save(more)
            self._set_aside += more
        return True

    def wrote(self, size: int) -> None:
        """Mark ``size`` of the bytes that were set aside as written; further bytes are counted as well.

        Raises:
            StorageError: the further bytes cannot be saved.
        """
        if self.limit is not None and size > self._set_aside:
            self._save(size - self._set_aside)
        self._set_aside = max(0, self._set_aside - size)

    def close(self) -> None:
        """Release the bytes that were set aside and not used.

        Raises:
            StorageError: the count cannot be saved.
        """
        if self.limit is None:
            return
        self._advance()
        self._save(-min(self._set_aside, self._hours[0]))
        self._set_aside = 0

    def _advance(self) -> None:
        now = self._clock()
        self._pass(max(0.0, now - self._seen))
        self._seen = now

    def _pass(self, seconds: float) -> None:
        self._into_hour += seconds
        hours = int(self._into_hour // _HOUR)
        self._into_hour -= hours * _HOUR
        if hours and self._set_aside:  # bytes that are not written yet belong to the hour in which they will be
            self._hours[0] = max(0, self._hours[0] - self._set_aside)
        for _ in range(min(hours, _HOURS)):
            self._hours = [0, *self._hours[:-1]]
        if hours and self._set_aside:
            self._hours[0] += self._set_aside

    def _save(self, more: int) -> None:
        """Save the count with ``more`` bytes in the present hour, and use it from then on."""
        hours = [self._hours[0] + more, *self._hours[1:]]
        count = {"hours": hours, "into_hour": round(self._into_hour, 1), "saved": self._wall()}
        write_json(self._path, count, self._descriptor())
        self._hours = hours

    def _read(self) -> tuple[list[int], float, float]:
        """Read the count from its file.

        Raises:
            FileNotFoundError: the file does not exist.
            OSError: it cannot be read, or is not a regular file.
            ValueError: its content is not a count.
        """
        folder = self._descriptor()
        name = self._path if folder is None else self._path.name
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError
            content = os.read(handle, _MOST_BYTES + 1)
        finally:
            os.close(handle)
        return _parsed(parse_object(content, _MOST_BYTES))

    def _remove_leftovers(self) -> None:
        """Remove the files that a power cut in the middle of a save leaves."""
        ours = re.compile(rf"\.{re.escape(self._path.stem)}\.[0-9a-f]{{8}}{re.escape(self._path.suffix)}")
        with contextlib.suppress(OSError):
            folder = self._descriptor()
            with os.scandir(self._path.parent if folder is None else folder) as found:
                names = [each.name for each in found if each.is_file(follow_symlinks=False)]
            for name in filter(ours.fullmatch, names):
                with contextlib.suppress(OSError):
                    os.unlink(self._path.with_name(name) if folder is None else name, dir_fd=folder)

    def _descriptor(self) -> int | None:
        return None if self._folder is None else self._folder()


def _parsed(values: dict[str, Any]) -> tuple[list[int], float, float]:
    hours, into_hour, saved = values.get("hours"), _number(values.get("into_hour")), _number(values.get("saved"))
    if not isinstance(hours, list) or len(hours) != _HOURS or any(type(each) is not int or each < 0 for each in hours):
        raise ValueError
    if not 0 <= into_hour <= _HOUR:
        raise ValueError
    return hours, into_hour, saved


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return float(value)
