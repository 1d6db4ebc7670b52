"""How hard times are judged: whatever goes or comes in the wrong order is found. And what is read of the service."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from lab.device import service
from lab.device.examine import Found, Stored, Update
from lab.recorder import Recorder, Result
from lab.scenarios.full_disk import judge_kept
from lab.scenarios.hardship import judge_numbers

EARLY, LATE = "0000000007_2025-12-01T08-30-00.250Z.jpg", "0000000006_2026-12-01T08-30-00.250Z.jpg"


def numbers(before: list[str], after: list[str]) -> list[str]:
    result = Result("hardship", "it works")
    judge_numbers(before, after, Recorder(result, lambda _: None), "Then")
    return [each.claim for each in result.failed]


def test_the_number_orders_frames_whatever_the_clock_says() -> None:
    assert numbers([LATE], [LATE, EARLY]) == []
    assert numbers([], [EARLY]) == []
    assert numbers([LATE], [EARLY]) == ["Then: no stored frame went"]
    assert numbers([EARLY], [EARLY, LATE]) == ["Then: new frames come after those before"]
    assert numbers([LATE], [LATE]) == ["Then: new frames come after those before"]


def test_what_a_full_disk_takes_is_found() -> None:
    def kept(after: Found) -> list[str]:
        result = Result("full_disk", "it works")
        judge_kept(before, after, Recorder(result, lambda _: None))
        return [each.claim for each in result.failed]

    before = Found("", Stored({0: 1}, {"0.jpg": "a"}), Stored({0: 30}, {"0.mp4": "b"}), Update("lab-1"))
    assert kept(before) == []
    assert kept(Found("", Stored(), before.record, before.update)) == ["No stored frame went or changed"]
    torn = Stored({0: 9}, {"0.mp4": "b"}, ("0.mp4",))
    assert kept(Found("", before.spool, torn, before.update)) == ["Every stored segment decodes to its end"]
    other = Found("bad", before.spool, before.record, Update("lab-2", (), ("bundle.json",)))
    assert kept(other) == [
        "The bundle in use is whole",
        "The bundle in use is the one before",
        "The file system is clean",
    ]


class Page:
    """A guest that has nothing but a page, which shows these states one after another, the last one for ever."""

    patience = 1.0

    def __init__(self, *states: dict[str, Any]) -> None:
        self._states: Iterator[dict[str, Any]] = iter(states)
        self._last = states[-1]
        self.clock = itertools.count().__next__

    def status(self) -> dict[str, Any]:
        self._last = next(self._states, self._last)
        return self._last


def status(frames: int, stored: int) -> dict[str, Any]:
    return {"frames": frames, "sinks": [{"name": "web"}, {"name": "spool:/x", "stored": stored}]}


@pytest.mark.parametrize(
    ("states", "kind", "flow"),
    [
        ([{}, status(5, 0), status(7, 0)], "", True),
        ([status(5, 0), status(7, 0)], "spool", False),
        ([status(5, 3), status(7, 4), status(8, 5)], "spool", True),
        ([status(50, 30), status(1, 0), status(2, 1)], "spool", False),  # another process counts anew
        ([status(50, 30), status(1, 0), status(2, 2)], "spool", True),
        ([status(50, 30)], "record", False),
        ([{}], "", False),
    ],
)
def test_frames_flow_when_they_are_counted(
    states: list[dict[str, Any]], kind: str, flow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.time, "sleep", lambda _: None)
    monkeypatch.setattr(service, "status_of", lambda guest: guest.status())
    assert service.flows(Page(*states), kind, limit=9.0) is flow  # type: ignore[arg-type]
