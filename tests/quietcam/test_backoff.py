"""Backoff: the delays between attempts."""

from __future__ import annotations

from quietcam.backoff import Backoff


def test_each_failure_doubles_the_delay_up_to_the_last() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.failed() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_after_a_success_it_begins_with_the_first_delay_again() -> None:
    backoff = Backoff(1.0, 60.0)
    assert not backoff.failing
    backoff.failed()
    backoff.failed()
    assert backoff.failing
    assert backoff.next == 4.0
    backoff.reset()
    assert not backoff.failing
    assert backoff.failed() == 1.0


def test_the_time_left_runs_down_to_zero() -> None:
    now = [100.0]
    backoff = Backoff(1.0, 60.0, clock=lambda: now[0])
    assert backoff.left == 0.0
    backoff.failed()
    now[0] = 100.25
    assert backoff.left == 0.75
    now[0] = 200.0
    assert backoff.left == 0.0
    backoff.failed()
    assert backoff.left == 2.0
    backoff.reset()
    assert backoff.left == 0.0
