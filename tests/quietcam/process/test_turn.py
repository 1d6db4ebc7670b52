"""Turns: one thread at a time, in order; only threads that want the turn wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from quietcam.process import turn as module
from quietcam.process.turn import Turn
from tests.waiting import ended, until


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_those_who_wait_have_their_turn_in_the_order_in_which_they_came() -> None:
    turn, done = Turn(), list[int]()

    def work(number: int) -> None:
        assert turn.take()
        done.append(number)
        turn.leave()

    assert turn.take()
    threads = []
    for number in range(5):
        threads.append(in_thread(lambda number=number: work(number)))
        until(lambda: len(turn._waiting) == len(threads))
    assert done == []
    turn.leave()
    for thread in threads:
        ended(thread)
    assert done == list(range(5))
    assert turn.take()


def test_what_is_to_be_done_between_comes_before_the_next_turn() -> None:
    turn, done = Turn(), list[str]()
    turn.between(lambda: done.append("at once"))
    assert turn.take()

    def work() -> None:
        assert turn.take()
        done.append("next")
        turn.leave()

    thread = in_thread(work)
    until(lambda: turn._waiting)
    turn.between(lambda: done.append("between"))
    assert done == ["at once"]
    turn.leave()
    ended(thread)
    assert done == ["at once", "between", "next"]
    assert turn.take()
    turn.close(lambda: done.append("last"))
    assert done[3:] == []
    turn.leave()
    assert done[3:] == ["last"]


def test_closing_ends_the_wait_for_a_turn() -> None:
    turn, given = Turn(), list[bool]()
    assert turn.take()
    threads = [in_thread(lambda: given.append(turn.take())) for _ in range(3)]
    until(lambda: len(turn._waiting) == 3)
    turn.close()
    for thread in threads:
        ended(thread)
    assert given == [False] * 3
    turn.leave()
    assert not turn.take()


@pytest.mark.parametrize("its_turn", [True, False])
def test_a_wait_that_is_interrupted_keeps_nobody_out(its_turn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = Turn()
    assert turn.take()

    class Interrupted(module.Future[bool]):
        def result(self, timeout: float | None = None) -> bool:
            if self.done():
                return super().result(timeout)
            if its_turn:
                turn.leave()
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "Future", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        turn.take()
    if not its_turn:
        turn.leave()
    assert turn.take()
