"""Fixtures of the tests of a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.waiting import WAIT


@pytest.fixture
def nothing_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let durations of a busy machine count as present."""
    monkeypatch.setattr("edge.run.health._STALE", WAIT)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Check that every thread that a test starts has ended with it."""
    before = set(threading.enumerate())
    yield
    assert [each.name for each in threading.enumerate() if each not in before] == []
