"""Events are what differs between two reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.events.event import Event, Kind
from edge.events.watch import EventWatch

WELL: dict[str, Any] = {
    "source": "/dev/video0",
    "model": "small",
    "camera": {"state": "live", "reopened": 0, "reason": None},
    "ladder": {"step": "full", "reason": None},
    "device": {"used": "cpu", "reason": None},
    "sinks": [{"name": "web", "error": None}, {"name": "spool:/x", "error": None, "waiting": None}],
    "temperature_c": 50.0,
    "reload": {"count": 0, "error": None},
}
LOST = {"camera": {"state": "lost", "reopened": 0, "reason": "unplugged"}}
FULL = {"sinks": [WELL["sinks"][0], {"name": "spool:/x", "error": None, "waiting": "the disk is full"}]}
BACK = {"camera": {"state": "live", "reopened": 1, "reason": "unplugged"}}


def updated(event: str | None, failure: str | None = None) -> dict[str, Any]:
    """What a report tells of updates."""
    last = {"event": event, "version": "small-2", "words": f"small-2 is {event}: {failure}", "time": 1.0}
    return {
        "version": "small-1",
        "last": last if event else None,
        "checked": {"time": 1.0, "failed": failure is not None, "words": failure or "small-1 is the newest"},
    }


def kinds(*reports: dict[str, Any]) -> list[str]:
    watch = EventWatch(hot=80.0, wall=lambda: 1.5)
    return [event.kind.value for report in reports for event in watch.update(WELL | report)]


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([{}, {}], []),
        ([LOST, LOST], ["camera_lost"]),
        ([{}, LOST, BACK, BACK], ["camera_lost", "camera_back"]),
        ([{}, BACK, BACK], ["camera_lost", "camera_back"]),  # faster than a look
        ([{}, {"ladder": {"step": "smaller model", "reason": "hot"}}, {}], ["ladder", "ladder"]),
        (
            [{"ladder": {"step": "pass-through", "reason": "hot"}}, {}],
            ["ladder", "frames_untouched", "ladder", "frames_denoised"],
        ),
        ([{"device": {"used": "none", "reason": "gone"}}, {}], ["frames_untouched", "frames_denoised"]),
        ([FULL, FULL, {}], ["sink_failed", "sink_back"]),
        (
            [{"temperature_c": value} for value in (79, 80, 85, 79, 73, 72, 79, 80)],
            ["too_hot", "cool_again", "too_hot"],
        ),
        ([{"temperature_c": 90}, {"temperature_c": None}, {"temperature_c": 90}], ["too_hot"]),
        ([{"reload": {"count": 0, "error": "no model"}}] * 2, ["model_refused"]),
        ([{"reload": {"count": 1, "error": None}}] * 2, ["model_changed"]),
        ([{"update": updated("installed")}] * 2, ["update_installed"]),
        ([{"update": updated("installed")}, {"update": updated("kept")}], ["update_installed", "update_kept"]),
        ([{"update": updated(None)}, {"update": updated("rolled_back")}], ["update_rolled_back"]),
        ([{"update": updated(None)}, {"update": updated("refused", "slow")}], ["update_refused"]),
        ([{"update": updated(None, "offline")}] * 2, []),  # it failed before this run
        ([{"update": updated(None)}, *[{"update": updated(None, "offline")}] * 2], ["update_failed"]),
        (
            [{"update": updated(None, words)} for words in (None, "offline", "expired", None, "offline")],
            ["update_failed"] * 3,
        ),
        ([{"update": None}], []),
        ([dict.fromkeys(WELL)], []),
        ([{"sinks": []}], []),
    ],
)
def test_kinds(reports: list[dict[str, Any]], expected: list[str]) -> None:
    assert kinds(*reports) == expected


def test_two_sinks_of_one_name_are_two() -> None:
    well, ill = {"name": "null", "error": None}, {"name": "null", "error": "full"}
    assert kinds({"sinks": [ill, well]}, {"sinks": [ill, ill]}, {"sinks": [well, ill]}) == [
        "sink_failed",
        "sink_failed",
        "sink_back",
    ]


def test_an_event_says_what_where_and_when() -> None:
    (event,) = EventWatch(80.0, lambda: 1700000000.25).update(WELL | LOST)
    told = json.loads(event.json(left_out=2))
    assert told | {"device_id": "", "device_name": ""} == {
        "event": "camera_lost",
        "message": "/dev/video0 is lost: unplugged",
        "time": "2023-11-14T22:13:20.250+00:00",
        "trouble": True,
        "subject": "camera",
        "device_id": "",
        "device_name": "",
        "source": "/dev/video0",
        "details": {"reason": "unplugged"},
        "left_out": 2,
    }
    assert len(told["device_id"]) == 12
    assert told["device_name"]


def test_no_secret_and_no_control_character_leaves_in_an_event_and_it_is_small() -> None:
    reason = "rtsp://me:tops3cret@cam/a does not answer\x1b[2J\n" + "x" * 100_000
    event = Event(Kind.CAMERA_LOST, reason, 0.0, "camera", True, "rtsp://me:tops3cret@cam/a", {"reason": reason})
    told = event.json()
    assert "tops3cret" not in told + str(event)
    assert "\x1b" not in json.loads(told)["message"]
    assert len(told) < 4096
