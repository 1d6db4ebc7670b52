"""Fixtures that tests of cameras share."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.leaks import descriptors
from tests.waiting import until


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Check that the test leaves no thread and no open file."""
    before = set(threading.enumerate()), descriptors()
    yield
    until(lambda: set(threading.enumerate()) <= before[0], "a thread is left")
    assert descriptors() <= before[1] + 1  # OpenCV may open one for itself, once per process
