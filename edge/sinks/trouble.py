"""Trouble: a sink that cannot keep frames now, since a disk or a server does not take them, and tries again."""

from __future__ import annotations

import time
from collections.abc import Callable

from quietcam.backoff import Backoff
from quietcam.errors import one_line
from quietcam.terminal.log import log

__all__ = ["Trouble"]


class Trouble:
    """Says once that it begins and once that it ends, and when to try again.

    Args:
        name: of the sink.
        doing: what it does when all is well: ``storing``.
        first, last: seconds from a failure to the next attempt: see :class:`quietcam.backoff.Backoff`.
        clock: seconds, monotonic.

    Attributes:
        waiting: why frames are not kept now; None while they are.
        missed: how many frames were not kept; the sink counts them.
    """

    def __init__(
        self, name: str, doing: str, first: float, last: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.waiting: str | None = None
        self.missed = 0
        self._name, self._doing = name, doing
        self._backoff = Backoff(first, last, clock)

    @property
    def over(self) -> bool:
        """Whether there is none, or the next attempt may begin now."""
        return self.waiting is None or not self._backoff.left

    def failed(self, error: Exception) -> None:
        """An attempt failed."""
        if self.waiting is None:
            log.warning(f"{self._name}: {one_line(error)} Trying again; frames are missed meanwhile.")
        self.waiting = one_line(error)
        self._backoff.failed()

    def works(self) -> None:
        """An attempt succeeded."""
        if self.waiting is not None:
            log.warning(f"{self._name}: {self._doing} again, {self.missed} frames were missed")
        self.waiting = None
        self._backoff.reset()
