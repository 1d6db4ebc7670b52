"""The clock of a stream: what a camera says of its times, put onto our clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cameras.network.clock import StreamClock


def test_what_a_network_holds_back_does_not_move_a_time() -> None:
    clock = StreamClock()
    rng = np.random.default_rng(1)
    sent = 700.0 + np.arange(200) / 25
    arrived = np.maximum.accumulate(sent + 9300.0 + 0.05 + rng.exponential(0.03, 200))
    stamps = [clock.stamp(*pair) for pair in zip(sent, arrived, strict=True)]
    assert np.abs(np.diff(stamps)[50:] - 1 / 25).max() < 0.004
    assert np.diff(arrived).std() > 0.015


def test_a_slow_clock_is_followed_and_one_that_was_set_too() -> None:
    clock = StreamClock()
    for number in range(20_000):  # 13 minutes
        now = 50.0 + number / 25
        stamp = clock.stamp(number / 25 * 0.9995, now)
        assert now - 0.1 < stamp <= now
    assert clock.stamp(5.0, now + 0.04) == now + 0.04
    assert clock.stamp(5.04, now + 0.08) == pytest.approx(now + 0.08)


def test_without_times_a_frame_has_that_of_its_arrival() -> None:
    clock = StreamClock()
    assert [clock.stamp(None, now) for now in (1.0, 2.0, 2.5)] == [1.0, 2.0, 2.5]


TIMES = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.none() | TIMES, st.floats(1e-3, 100.0)), min_size=1, max_size=50))
def test_times_increase_and_lie_in_the_past(steps: list[tuple[float | None, float]]) -> None:
    clock, now, before = StreamClock(), 1000.0, -np.inf
    for sent, later in steps:
        now += later
        stamp = clock.stamp(sent, now)
        assert before < stamp <= now + 1e-6
        before = stamp
