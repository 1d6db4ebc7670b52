"""What tests of a run ask for by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.waiting import WAIT


@pytest.fixture
def nothing_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durations of a busy machine count as present."""
    monkeypatch.setattr("edge.run.health._STALE", WAIT)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Every thread that a test starts has ended when it ends."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before
