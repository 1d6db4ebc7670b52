"""How long a guest waited for a processor, with made readings, and one of this process."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from lab.starving import Clock, Waits, waited
from tests.waiting import until


def waits_of(monkeypatch: pytest.MonkeyPatch, *readings: tuple[float, Mapping[str, float]]) -> Waits:
    """As if these had been read at these times."""
    found = [each for _, each in readings]
    waits = Waits(0, lambda _: {})
    waits._read = lambda _: found.pop(0)
    times = iter(at for at, _ in readings)
    monkeypatch.setattr("lab.starving.time.monotonic", lambda: next(times))
    for _ in readings:
        waits.look()
    return waits


def test_the_thread_that_waited_longest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = waits_of(
        monkeypatch, (0.0, {"1": 5.0, "2": 7.0}), (10.0, {"1": 5.0, "2": 7.0}), (20.0, {"1": 9.0, "2": 8.0, "3": 0.0})
    )
    assert waits.between(0.0, 10.0) == 0.0
    assert waits.between(10.0, 20.0) == 4.0
    assert waits.between(0.0, 20.0) == 4.0
    assert waits.share == 0.2


def test_between_two_readings_its_share_counts_and_never_more_than_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = waits_of(monkeypatch, (0.0, {"1": 0.0}), (10.0, {"1": 5.0}), (11.0, {"1": 8.0}))
    assert waits.between(2.0, 4.0) == pytest.approx(1.0)
    assert waits.between(10.0, 11.0) == 1.0  # more than all of it was read
    assert waits.between(4.0, 4.0) == 0.0


def test_a_kernel_that_does_not_tell_excuses_nothing() -> None:
    waits = Waits(0, lambda _: {})
    assert (waits.between(0.0, 100.0), waits.share) == (0.0, 0.0)
    assert waited(2**30) == {}


def test_this_process_is_read_and_its_end_ends_the_reading() -> None:
    readings = []

    def read(process: int) -> Mapping[str, float]:
        readings.append(waited(process) if len(readings) < 2 else {})
        return readings[-1]

    waits = Waits(os.getpid(), read)
    until(lambda: len(readings) == 3)
    begin, end = waits._times
    assert 0.0 <= waits.between(begin, end) <= end - begin


def test_each_look_at_the_guests_clock_bounds_it() -> None:
    clock = Clock()
    clock.heard(100.0, 5.0, 101.0)  # 95 to 96 apart
    clock.heard(200.0, 104.5, 203.0)  # 95.5 to 98.5
    assert clock.here(10.0) == 105.75
