"""UpdateWatch: within a run, it takes up the slot that an update switched to, and judges a bundle on trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge.run.frame import Frame
from edge.run.health import network_failure
from edge.sinks.base import Sink
from edge.update.slots.figures import ENOUGH, Figures, figures_between, worse
from edge.update.slots.running import SlotModel
from edge.update.slots.state import FACTORY, State
from quietcam.errors import QuietcamError, one_line
from quietcam.image import Image
from quietcam.terminal.log import log

__all__ = ["UpdateWatch"]

FAILING = 20.0
"""Seconds for which the network may fail, or a live camera's frames may not come through, within a trial."""

_SAVED = 15.0  # seconds with frames after which the trial's figures are written to the disk


class UpdateWatch(Sink):
    """An observer of a run whose model is that of a slot. It reads the state of updates once a second.

    Args:
        slot: the model of the slot in use.
        running: returns the path of the model that runs now.
        size: returns ``(width, height)`` of the camera's frames, or None.
        reload: loads another model soon; its second argument is called at the end, with the reason of a refusal or
            None, in another thread.
        clock: seconds, monotonic.
        now: seconds since 1970.

    Attributes:
        active: whether the run's model is still that of a slot. It may be changed at a reload.
    """

    name = "update"
    observer = True

    def __init__(
        self,
        slot: SlotModel,
        running: Callable[[], Path],
        size: Callable[[], tuple[int, int] | None],
        reload: Callable[[Path, Callable[[str | None], None]], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.active = True
        self._slot, self._running, self._size, self._reload = slot, running, size, reload
        self._clock, self._now = clock, now
        self._state, self._changed = State(), object()
        self._newest = self._newest_note()
        self._asked: str | None = None  # the slot whose model is being loaded, or was refused
        self._refusal: str | None = None
        self._seen: str | None = None  # the slot whose model ran at the last report
        self._last: Mapping[str, Any] | None = None
        self._figures = Figures()  # of the model that runs; of one on trial: those that are not on the disk yet
        self._moved = False  # frames came since the last report
        self._well: float | None = None  # when frames last came through and were denoised, or the camera was lost
        self._since = clock()
        self._warned = ""

    def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
        self.frames += 1

    def status(self, report: dict[str, Any]) -> None:
        if not self.active:
            self._last = None
            return
        try:
            self._look(report)
        except QuietcamError as error:
            if (words := one_line(error)) != self._warned:  # it may come every second
                self._warned = words
                log.warning("The update waits: %s", words)

    def close(self) -> None:
        try:
            self._save()
        except QuietcamError as error:
            log.warning("The trial's last seconds are not counted: %s", one_line(error))

    def told(self) -> dict[str, Any] | None:
        """For the report of the run; None while it has another model. Any thread may call it."""
        state = self._state
        if not self.active:
            return None
        trial, checked, last = state.trial, state.checked, state.history[-1:] or (None,)
        note = last[0] if last[0] != self._newest else None
        return {
            "version": state.version_of(state.current),
            "back": None if state.back is None else state.version_of(state.back),
            "on_trial": trial is not None,
            "trial": trial and {"seconds": round(self._trial_figures().seconds, 1), "length": trial.length},
            "refused": [{"version": each.version, "why": each.why} for each in state.refused[-3:]],
            "checked": checked and {"time": checked.time, "failed": checked.failed, "words": checked.words},
            "last": note and {"event": note.event, "version": note.version, "words": note.words, "time": note.time},
        }

    def _look(self, report: dict[str, Any]) -> None:
        running = self._running_slot()
        if running != self._seen:  # another model has taken over
            self._seen, self._last, self._figures = running, None, Figures()
            self._well, self._since = None, self._clock()
        if (changed := self._slot.store.changed) != self._changed:
            self._take(self._slot.store.read(), changed)
        self._measure(report)
        if running == self._state.current and self._state.trial is not None:
            self._judge(report)
        self._follow(running)
        self._warned = ""

    def _measure(self, report: dict[str, Any]) -> None:
        self._moved = self._last is None or report["frames"] > self._last["frames"]
        if self._last is not None:
            self._figures += figures_between(self._last, report)
        self._last = report

    def _judge(self, report: dict[str, Any]) -> None:
        """Keep the bundle on trial, or go back, or wait."""
        trial, now = self._state.trial, self._clock()
        assert trial is not None
        failure = network_failure(report)
        lost = (report.get("camera") or {}).get("state") == "lost"  # no fault of a model
        if self._well is None or lost or (self._moved and not failure):
            self._well = now
        if now - self._well >= FAILING:
            self._go_back(failure or "no frame comes through, and the camera is not lost")
            return
        if trial.starts and now - self._since >= ENOUGH and self._well == now:
            self._change(State.settle)
        figures = self._trial_figures()
        if figures.seconds >= trial.length:
            if why := worse(figures, trial.before):
                self._go_back(why)
            else:
                self._save()
                self._change(lambda state: state.keep(f"{figures.seconds:.0f} s with frames were well", self._now()))
                log.info("%s", self._state.history[-1].words)
        elif self._figures.seconds >= _SAVED:
            self._save()

    def _follow(self, running: str) -> None:
        """Load the model of the slot in use, if another one runs."""
        refusal, self._refusal = self._refusal, None
        if refusal is not None and self._asked == self._state.current and self._state.trial is not None:
            self._go_back(f"the run refuses its model: {refusal}")
        if self._state.current in (running, self._asked):
            return
        wanted = self._slot.in_use(self._size())
        if wanted.slot == running:
            return
        if self._figures.seconds >= ENOUGH:
            before = self._figures
            self._change(lambda state: state.compare_with(before))
        self._asked = wanted.slot
        self._reload(wanted.model, self._ended)

    def _ended(self, refusal: str | None) -> None:
        """A reload has ended, in its thread."""
        if refusal is None:
            self._asked = None
        self._refusal = refusal

    def _go_back(self, why: str) -> None:
        log.warning("%s goes back: %s", self._state.version_of(self._state.current), why)
        self._change(lambda state: state.go_back(why, self._now()))
        self._figures, self._well = Figures(), None

    def _trial_figures(self) -> Figures:
        """All that is known of the bundle on trial; of a part the disk does not know yet."""
        trial = self._state.trial
        if trial is None:
            return Figures()
        return trial.figures + self._figures if self._seen == self._state.current else trial.figures

    def _save(self) -> None:
        """Write the trial's figures: its seconds are counted over restarts and reboots."""
        figures = self._figures
        if self._state.trial is not None and self._seen == self._state.current and figures.seconds:
            slot = self._state.current
            self._change(lambda state: state.measure(figures) if state.current == slot else state)
            self._figures = Figures()

    def _change(self, change: Callable[[State], State]) -> None:
        self._take(self._slot.store.change(change), self._slot.store.changed)

    def _take(self, state: State, changed: object) -> None:
        if state.current != self._state.current:
            self._asked = None
        self._state, self._changed = state, changed

    def _running_slot(self) -> str:
        path = self._running()
        slots = self._slot.store.slot("x").parent
        return path.parents[1].name if len(path.parents) > 2 and path.parents[2] == slots else FACTORY

    def _newest_note(self) -> object:
        try:
            self._state, self._changed = self._slot.store.read(), self._slot.store.changed
        except QuietcamError as error:
            log.warning("%s", one_line(error))
        return self._state.history[-1] if self._state.history else None
