"""A subject that flaps is told a few times, then rarely, and at last always as it is."""

from __future__ import annotations

import pytest

from edge.events.event import Event, Kind
from edge.events.pacing import Pacing


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(number: int, subject: str = "camera") -> Event:
    return Event(Kind.CAMERA_LOST, str(number), float(number), subject, True)


def told(pacing: Pacing) -> list[tuple[str, int]]:
    found = []
    while (taken := pacing.take()) is not None:
        found.append((taken[0].message, taken[1]))
    return found


def test_a_few_events_are_told_in_order() -> None:
    pacing = Pacing(4, 60.0, Clock())
    assert pacing.take() is None
    assert pacing.pause() is None
    for number in range(3):
        pacing.put(event(number))
    assert pacing.pause() == 0.0
    assert told(pacing) == [("0", 0), ("1", 0), ("2", 0)]


def test_a_storm_is_told_once_a_minute_and_the_last_state_is_always_told() -> None:
    clock = Clock()
    pacing = Pacing(4, 60.0, clock)
    found = []
    for second in range(3600):
        clock.now = float(second)
        pacing.put(event(second))
        found += told(pacing)
    assert [message for message, _ in found[:4]] == ["0", "1", "2", "3"]
    assert 4 + 58 <= len(found) <= 4 + 60
    clock.now += 60.0
    found += told(pacing)
    assert found[-1][0] == "3599"
    assert sum(left_out for _, left_out in found) + len(found) == 3600, "each is told or counted"
    assert told(pacing) == []


def test_another_subject_does_not_wait() -> None:
    clock = Clock()
    pacing = Pacing(2, 60.0, clock)
    for number in range(9):
        pacing.put(event(number))
    pacing.put(event(9, "heat"))
    assert told(pacing) == [("7", 7), ("8", 0), ("9", 0)]
    pacing.put(event(10))
    assert pacing.take() is None
    assert pacing.pause() == 60.0
    clock.now = 59.0
    assert pacing.pause() == pytest.approx(1.0)
    clock.now = 60.0
    assert told(pacing) == [("10", 0)]


def test_memory_is_bounded() -> None:
    pacing = Pacing(4, 60.0, Clock())
    for number in range(10_000):
        pacing.put(event(number, f"sink {number}"))
        pacing.put(event(number))
    assert len(pacing._subjects) == 64
    assert sum(len(each.waiting) for each in pacing._subjects.values()) <= 64 * 4
