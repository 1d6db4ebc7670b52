"""Fixtures that every folder of tests shares."""

from tests.browser import browser

__all__ = ["browser"]
