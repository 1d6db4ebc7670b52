"""Work that is timed in turns, with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.turns import take_turns


class Work:
    """Two pieces of work that take known times, and the clock that they move."""

    def __init__(self, **seconds: float) -> None:
        self.now, self.order = 0.0, ""
        self.work = {name: self._piece(name, each) for name, each in seconds.items()}

    def _piece(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds
            self.order += name

        return run

    def clock(self) -> float:
        return self.now


def test_each_is_timed_in_turns() -> None:
    work = Work(a=0.5, b=0.25)
    taken = take_turns(work.work, 3, 100.0, clock=work.clock)
    assert work.order == "ababab"
    assert taken == {"a": [0.5] * 3, "b": [0.25] * 3}


def test_slow_work_ends_after_its_time_and_does_not_stop_the_other() -> None:
    work = Work(a=1000.0, b=1.0)
    taken = take_turns(work.work, 5, 2.5, clock=work.clock)
    assert {name: len(each) for name, each in taken.items()} == {"a": 1, "b": 3}


@pytest.mark.parametrize("seconds", [0.1, 1.0, 100.0])
def test_the_shares_that_are_told_add_up_to_all_of_the_work(seconds: float) -> None:
    work, shares = Work(a=0.3, b=0.7, c=50.0), []
    take_turns(work.work, 4, seconds, on_run=shares.append, clock=work.clock)
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(3)
