"""Fixtures that tests of cameras share."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from quietcam.process.native_output import native_output_caught
from tests.leaks import descriptors
from tests.waiting import until


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Check that the test leaves no thread and no open file."""
    with native_output_caught():  # opens its own files, once per process
        pass
    before = set(threading.enumerate()), descriptors()
    yield
    until(lambda: set(threading.enumerate()) <= before[0], "a thread is left")
    assert descriptors() <= before[1] + 1  # OpenCV may open one for itself, once per process
