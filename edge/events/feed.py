"""EventFeed: the thread that looks at a run once a second and hands its events to all who want them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from edge.events.alarm import Alarm
from edge.events.event import Event, Kind
from edge.events.watch import EventWatch
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["EventFeed"]

_PULSE = 1.0  # seconds
_GRACE = 0.3  # seconds that the thread has to end
_LOGGED_HERE = frozenset({Kind.TOO_HOT, Kind.COOL_AGAIN})  # all others are logged where they happen


class EventFeed:
    """Metrics, MQTT and alarms get the same events from here.

    Args:
        watch: finds the events.
        report: returns the report of the run. It must be quick.
        listeners: called with each event, in the feed's thread. They must be quick. An error of one is logged, and the
            others go on.
        alarms: listeners that the feed starts and stops with itself.
    """

    def __init__(
        self,
        watch: EventWatch,
        report: Callable[[], dict[str, Any]],
        listeners: Sequence[Callable[[Event], None]] = (),
        alarms: Sequence[Alarm] = (),
    ) -> None:
        self._watch, self._report, self._alarms = watch, report, alarms
        self._listeners = [*(each.take for each in alarms), *listeners]
        self._counts = dict.fromkeys(Kind, 0)
        self._warned = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quietcam-events", daemon=True)

    def counts(self) -> dict[str, int]:
        """How many events of each kind there were."""
        return {kind.value: count for kind, count in self._counts.items()}

    def alarms(self) -> list[dict[str, Any]]:
        """What each alarm was told."""
        return [each.report() for each in self._alarms]

    def start(self) -> None:
        """Begin to look. Call it once."""
        for alarm in self._alarms:
            alarm.start()
        self._thread.start()

    def stop(self) -> None:
        """Look once more, and end all threads. Call it once, after ``start``."""
        self._stopped.set()
        process.wait([self._thread], _GRACE)
        for alarm in self._alarms:
            alarm.stop()

    def _run(self) -> None:
        while not self._stopped.wait(_PULSE):
            self._look()
        self._look()

    def _look(self) -> None:
        try:
            events = self._watch.update(self._report())
        except Exception as error:  # noqa: BLE001  whatever a part of the report raises, the run goes on
            self._warn("The report of the run", error)
            return
        for event in events:
            self._counts[event.kind] += 1
            if event.kind in _LOGGED_HERE:
                (log.warning if event.trouble else log.info)("%s", event)
            for listener in self._listeners:
                self._tell(listener, event)

    def _tell(self, listener: Callable[[Event], None], event: Event) -> None:
        try:
            listener(event)
        except Exception as error:  # noqa: BLE001  one listener must not silence the others
            self._warn("A listener of events", error)

    def _warn(self, what: str, error: Exception) -> None:
        """Log the error, once in a row: it may come every second."""
        words = f"{what} has an unexpected {type(error).__name__}: {error}"
        if words != self._warned:
            self._warned = words
            log.warning("%s", words)
