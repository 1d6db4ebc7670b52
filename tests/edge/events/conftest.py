"""Fixtures of the tests of events."""

from tests.edge.run.conftest import no_thread_is_left

__all__ = ["no_thread_is_left"]
