"""Alarm: tells a command or a webhook of events, in a thread of its own, and never too often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any, Protocol

from edge.events.command import Command
from edge.events.event import Event, Kind
from edge.events.pacing import Pacing
from edge.events.webhook import Webhook
from quietcam.backoff import Backoff
from quietcam.errors import UsageError, one_line
from quietcam.files.at_file import read_at_file
from quietcam.process.stopping import process
from quietcam.terminal.log import log
from quietcam.terminal.secrets import shown

__all__ = ["Alarm", "Target", "open_target", "wanted_kinds"]

_GRACE = 0.5  # seconds that the thread has to end
_FIRST, _LAST = 2.0, 8.0  # seconds between two attempts


class Target(Protocol):
    """What is told.

    Attributes:
        name: what messages show.
        attempts: how often it is tried.
    """

    name: str
    attempts: int

    def tell(self, event: Event, left_out: int, stopped: Callable[[], bool]) -> str | None:
        """Tell it. Why it failed, or None.

        Raises:
            OSError: another attempt may succeed.
        """


class Alarm:
    """One at a time: while a target is being told, further events wait, and too many of them are left out.

    Args:
        target: what is told.
        kinds: the events to tell.
        pacing: how often.
    """

    def __init__(self, target: Target, kinds: Collection[Kind] = tuple(Kind), pacing: Pacing | None = None) -> None:
        self.told = self.failed = 0
        self._target, self._kinds = target, frozenset(kinds)
        self._pacing = pacing or Pacing()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=f"quietcam-alarm-{target.name}", daemon=True)

    def start(self) -> None:
        """Call it once."""
        self._thread.start()

    def take(self, event: Event) -> None:
        """Tell this event soon. For any thread; never waits."""
        if event.kind in self._kinds:
            with self._changed:
                self._pacing.put(event)
                self._changed.notify_all()

    def stop(self) -> None:
        """End the thread. A command that runs is killed; what waits is not told. Call it once, after ``start``."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        process.wait([self._thread], _GRACE)

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            self._tell(*taken)

    def _next(self) -> tuple[Event, int] | None:
        """The next event to tell, waiting for it; None when the alarm is stopped."""
        with self._changed:
            while not self._stopped.is_set():
                if (taken := self._pacing.take()) is not None:
                    return taken
                self._changed.wait(self._pacing.pause())
        return None

    def _tell(self, event: Event, left_out: int) -> None:
        backoff = Backoff(_FIRST, _LAST)
        for attempt in range(self._target.attempts):
            if attempt and self._stopped.wait(backoff.failed()):
                return
            try:
                failure = self._target.tell(event, left_out, self._stopped.is_set)
                break
            except OSError as error:
                failure = getattr(error, "strerror", None) or one_line(error)
            except Exception as error:  # noqa: BLE001  an alarm must never end the thread that tells the next one
                failure = f"unexpected {type(error).__name__}: {error}"
                break
        if self._stopped.is_set():
            return
        if failure is None:
            self.told += 1
            if self._failing:
                log.info("The alarm %s works again", self._target.name)
        else:
            self.failed += 1
            log.warning("The alarm %s was not told of %s: %s", self._target.name, event.kind.value, shown(failure))
        self._failing = failure is not None

    def report(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self._target.name, "told": self.told, "failed": self.failed}


def open_target(text: str) -> Target:
    """The command or the webhook that ``text`` names; ``@FILE`` reads it from a file.

    Raises:
        UsageError: it is neither.
    """
    if text.startswith("@"):
        text = read_at_file(text, "`on_event`", "the URL or the command").strip()
    return Webhook(text) if text.lower().startswith(("http:", "https:")) else Command(text)


def wanted_kinds(names: str | None) -> tuple[Kind, ...]:
    """The kinds of events that ``names`` names, with commas between them. None: all.

    Raises:
        UsageError: there is no such event.
    """
    known = {kind.value: kind for kind in Kind}
    wanted = list(known) if names is None else [each.strip() for each in names.split(",")]
    if odd := [each for each in wanted if each not in known]:
        raise UsageError(
            f"`events` are of {', '.join(known)}. Received: {shown(odd[0]) or '(nothing)'}. "
            "Remedy: name some of these, with commas between them."
        )
    return tuple(known[each] for each in wanted)
