"""Fixtures that every folder of tests shares, and how hypothesis goes about."""

from hypothesis import settings

from tests.browser import browser

__all__ = ["browser"]

# No test is timed, hypothesis' examples neither: a busy machine is no defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
