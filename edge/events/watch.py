"""EventWatch: compares the reports of a run, one a second, and says what has happened between two of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from edge.events.event import Event, Kind
from edge.network.treatment import Rung

__all__ = ["EventWatch"]

_COOLER = 8.0  # °C below `hot` at which heat counts as over, as for the ladder
_FULL = Rung.FULL.value


class EventWatch:
    """Before the first report all is taken to be well: a camera that is missing at the start is an event.

    Args:
        hot: °C from which on the device is too hot.
        wall: unix seconds.
    """

    def __init__(self, hot: float, wall: Callable[[], float] = time.time) -> None:
        self._hot, self._wall = hot, wall
        self._lost = self._untouched = self._is_hot = False
        self._reopened = self._reloads = 0
        self._step = _FULL
        self._failing: dict[int, str] = {}  # sinks by their place in the report, since two may have one name
        self._refused: str | None = None
        self._update_note: dict[str, Any] | None = None
        self._update_failure: str | None = None
        self._updates_seen = False

    def update(self, report: dict[str, Any]) -> list[Event]:
        """The events since the last report, which is as :func:`edge.run.report.report_of` gives it."""
        now, source = self._wall(), str(report.get("source") or "")
        return [
            Event(kind, message, now, subject, trouble, source, details)
            for part in (self._camera, self._ladder, self._frames, self._sinks, self._heat, self._model, self._updates)
            for kind, message, subject, trouble, details in part(report)
        ]

    def _camera(self, report: dict[str, Any]) -> Iterator[_Told]:
        camera = report.get("camera") or {}
        lost, reopened = camera.get("state") == "lost", camera.get("reopened", 0)
        reason, name = camera.get("reason"), report.get("source") or "the camera"
        details = {"reason": reason}
        if not self._lost and (lost or reopened > self._reopened):  # it may be back already
            yield Kind.CAMERA_LOST, f"{name} is lost: {reason}", "camera", True, details
        if not lost and (self._lost or reopened > self._reopened):
            yield Kind.CAMERA_BACK, f"{name} is back", "camera", False, {**details, "reopened": reopened}
        self._lost, self._reopened = lost, reopened

    def _ladder(self, report: dict[str, Any]) -> Iterator[_Told]:
        ladder = report.get("ladder") or {}
        step, reason = ladder.get("step", _FULL), ladder.get("reason")
        if step != self._step:
            message = f"Work per frame is now: {step}" + (f" ({reason})" if reason else "")
            details = {"step": step, "before": self._step, "reason": reason}
            yield Kind.LADDER, message, "ladder", _place(step) > _place(self._step), details
        self._step = step

    def _frames(self, report: dict[str, Any]) -> Iterator[_Told]:
        """Frames pass untouched because nothing denoises them; clean frames and a strength of 0 do not count."""
        ladder, device = report.get("ladder") or {}, report.get("device") or {}
        passes, none = ladder.get("step") == Rung.PASS_THROUGH.value, device.get("used") == "none"
        reason = ladder.get("reason") if passes else device.get("reason") if none else None
        if (passes or none) and not self._untouched:
            yield Kind.UNTOUCHED, f"Frames pass untouched: {reason}", "frames", True, {"reason": reason}
        elif self._untouched and not (passes or none):
            yield Kind.DENOISED, "Frames are denoised again", "frames", False, {}
        self._untouched = passes or none

    def _sinks(self, report: dict[str, Any]) -> Iterator[_Told]:
        for place, sink in enumerate(report.get("sinks") or []):
            name, reason = str(sink.get("name")), sink.get("error") or sink.get("waiting")
            if reason and place not in self._failing:
                self._failing[place] = reason
                details = {"sink": name, "reason": reason}
                yield Kind.SINK_FAILED, f"The sink {name} keeps no frames: {reason}", name, True, details
            elif not reason and place in self._failing:
                del self._failing[place]
                details = {"sink": name, "missed": sink.get("missed")}
                yield Kind.SINK_BACK, f"The sink {name} keeps frames again", name, False, details

    def _heat(self, report: dict[str, Any]) -> Iterator[_Told]:
        celsius = report.get("temperature_c")
        if celsius is None:
            return
        details = {"celsius": celsius, "hot": self._hot}
        if not self._is_hot and celsius >= self._hot:
            self._is_hot = True
            yield (
                Kind.TOO_HOT,
                f"The device is too hot: {celsius:.0f} °C, of at most {self._hot:.0f}",
                "heat",
                True,
                details,
            )
        elif self._is_hot and celsius <= self._hot - _COOLER:
            self._is_hot = False
            yield Kind.COOL_AGAIN, f"The device has cooled down to {celsius:.0f} °C", "heat", False, details

    def _model(self, report: dict[str, Any]) -> Iterator[_Told]:
        reload = report.get("reload") or {}
        count, error = reload.get("count", 0), reload.get("error")
        if count > self._reloads:
            name = report.get("model")
            yield Kind.MODEL_CHANGED, f"The model is now {name}", "model", False, {"model": name}
        if error and error != self._refused:
            yield Kind.MODEL_REFUSED, f"The new model is refused: {error}", "model", True, {"reason": error}
        self._reloads, self._refused = count, error

    def _updates(self, report: dict[str, Any]) -> Iterator[_Told]:
        """What ``quietcam update`` and the trial of a bundle did while this run lived."""
        update = report.get("update")
        if update is None:
            return
        note, checked = update.get("last"), update.get("checked") or {}
        if note and note != self._update_note:
            kind = _OF_UPDATES[note["event"]]
            trouble = kind in (Kind.UPDATE_ROLLED_BACK, Kind.UPDATE_REFUSED)
            details = {"version": note["version"], "in_use": update["version"]}
            yield kind, str(note["words"]), "update", trouble, details
        failure = checked.get("words") if checked.get("failed") else None
        told = failure and note and failure[:200] in note["words"]  # a refused bundle has an event of its own
        if failure and failure != self._update_failure and self._updates_seen and not told:
            details = {"reason": failure, "in_use": update["version"]}
            yield Kind.UPDATE_FAILED, f"The update failed: {failure}", "update", True, details
        self._update_note, self._update_failure, self._updates_seen = note, failure, True


_OF_UPDATES = {
    "installed": Kind.UPDATE_INSTALLED,
    "kept": Kind.UPDATE_KEPT,
    "rolled_back": Kind.UPDATE_ROLLED_BACK,
    "refused": Kind.UPDATE_REFUSED,
}

_Told = tuple[Kind, str, str, bool, dict[str, Any]]
"""Kind, message, subject, trouble and details of an event."""


def _place(step: str) -> int:
    return [rung.value for rung in Rung].index(step)
