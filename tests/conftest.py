"""What every folder of tests shares."""

from hypothesis import settings

from tests.browser import browser

__all__ = ["browser"]

# A busy machine is no failure: no test judges time, hypothesis' own deadline included.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
