"""The queue between two threads."""

from __future__ import annotations

import threading

from edge.run.mailbox import Mailbox
from tests.waiting import ended


def test_items_come_out_in_order_and_none_when_closed() -> None:
    box = Mailbox[int](3)
    assert all(box.put(item) for item in range(3))
    box.close()
    assert [box.get() for _ in range(5)] == [0, 1, 2, None, None]


def test_newest_wins_and_the_others_are_counted() -> None:
    box = Mailbox[int](2, newest_wins=True)
    for item in range(10):
        box.put(item)
    assert [box.get(), box.get()] == [8, 9]
    assert box.dropped == 8


def test_a_full_box_waits_and_loses_nothing() -> None:
    box = Mailbox[int](2)
    taken: list[int | None] = []
    writer = threading.Thread(target=lambda: [box.put(item) for item in range(500)] and box.close())
    writer.start()
    while (item := box.get()) is not None:
        taken.append(item)
    writer.join()
    assert taken == list(range(500))
    assert box.dropped == 0


def test_close_frees_one_that_waits_to_put() -> None:
    box = Mailbox[int](1)
    box.put(0)
    answers: list[bool] = []
    writer = threading.Thread(target=lambda: answers.append(box.put(1)))
    writer.start()
    box.close()
    ended(writer)
    assert answers == [False]
    assert (box.get(), box.get()) == (0, None)


def test_close_frees_one_that_waits_to_get() -> None:
    box = Mailbox[int](1)
    answers: list[int | None] = []
    reader = threading.Thread(target=lambda: answers.append(box.get()))
    reader.start()
    box.close()
    box.close()
    ended(reader)
    assert answers == [None]


def test_what_is_given_up_is_told() -> None:
    given_up: list[int] = []
    box = Mailbox[int](2, newest_wins=True, on_drop=given_up.append)
    for item in range(5):
        box.put(item)
    assert given_up == [0, 1, 2]
    assert [box.get(), box.get()] == [3, 4]


def test_waiting_ends_after_a_while_and_that_is_not_the_end() -> None:
    box = Mailbox[int](1)
    assert box.get(0.01) is None
    assert not box.ended
    box.put(1)
    box.close()
    assert not box.ended
    assert box.get(0.0) == 1
    assert box.ended
    assert box.get(0.0) is None
