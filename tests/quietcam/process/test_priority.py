"""A thread that gives way, and no other."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from quietcam.process.priority import give_way
from tests.waiting import ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has priorities of threads")


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def in_a_thread(*steps: int) -> list[int]:
    """The priorities of a thread after each of its steps."""
    found: list[int] = []

    def work() -> None:
        for each in steps:
            give_way(each)
            found.append(own())

    thread = threading.Thread(target=work)
    thread.start()
    ended(thread)
    return found


def test_one_thread_gives_way_and_the_others_do_not() -> None:
    before = own()
    assert in_a_thread(3, 4) == [min(19, before + 3), min(19, before + 7)]
    assert own() == before


def test_there_is_an_end() -> None:
    assert in_a_thread(50) == [19]


def test_where_it_is_forbidden_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refused)
    assert in_a_thread(3) == [own()]
