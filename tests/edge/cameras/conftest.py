"""What tests of cameras share."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.leaks import descriptors
from tests.waiting import until


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """The test leaves neither a thread nor an open file."""
    before = set(threading.enumerate()), descriptors()
    yield
    until(lambda: set(threading.enumerate()) <= before[0], "a thread is left")
    assert descriptors() <= before[1] + 1  # OpenCV may open one for itself, once
