"""Event: something happened in a run that a person or another program may want to know at once."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from edge.events.device_id import device_id, device_name
from quietcam.files.strict_json import dump_json
from quietcam.terminal.printable import printable
from quietcam.terminal.secrets import shown, shown_values

__all__ = ["Event", "Kind"]

_LONGEST = 500  # characters of a text


class Kind(Enum):
    """The kinds of events. Page, metrics, MQTT and alarms use the same names."""

    CAMERA_LOST = "camera_lost"
    CAMERA_BACK = "camera_back"
    LADDER = "ladder"
    UNTOUCHED = "frames_untouched"
    DENOISED = "frames_denoised"
    SINK_FAILED = "sink_failed"
    SINK_BACK = "sink_back"
    TOO_HOT = "too_hot"
    COOL_AGAIN = "cool_again"
    MODEL_CHANGED = "model_changed"
    MODEL_REFUSED = "model_refused"
    UPDATE_INSTALLED = "update_installed"
    UPDATE_KEPT = "update_kept"
    UPDATE_ROLLED_BACK = "update_rolled_back"
    UPDATE_REFUSED = "update_refused"
    UPDATE_FAILED = "update_failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Everything that leaves the process goes through ``report``, which shows no secret.

    Attributes:
        kind: what happened.
        message: the same for people, one sentence.
        time: seconds since 1970.
        subject: what it is about: ``camera``, ``ladder``, ``frames``, ``heat``, ``model``, ``update``, or a sink's
            name. Of events about one subject the newest says how things are.
        trouble: it is bad news.
        source: the camera's name.
        details: values for programs.
    """

    kind: Kind
    message: str
    time: float
    subject: str
    trouble: bool
    source: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def report(self, left_out: int = 0) -> dict[str, Any]:
        """For JSON. ``left_out``: how many earlier events about the same subject were not told."""
        told = {
            "event": self.kind.value,
            "message": _short(self.message),
            "time": datetime.datetime.fromtimestamp(self.time, datetime.UTC).isoformat(timespec="milliseconds"),
            "trouble": self.trouble,
            "subject": _short(self.subject),
            "device_id": device_id(),
            "device_name": device_name(),
            "source": _short(self.source),
            "details": {key: _short(value) for key, value in self.details.items()},
            "left_out": left_out,
        }
        return {key: shown_values(value) for key, value in told.items()}

    def json(self, left_out: int = 0) -> str:
        """``report`` as one line."""
        return dump_json(self.report(left_out), other=str)

    def __str__(self) -> str:
        return shown(printable(self.message))


def _short(value: Any) -> Any:
    return printable(value)[:_LONGEST] if isinstance(value, str) else value
