"""What every folder of tests shares."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator

import pytest
from hypothesis import settings

from quietcam.terminal.log import log
from tests.browser import browser

__all__ = ["browser"]

# A busy machine is no failure: no test judges time, hypothesis' own deadline included.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the library logs while the test runs, from INFO up. The list grows as it comes."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Keep(logging.INFO)
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run files, and the tests within each, in an order of this seed"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no process begins one while all others have ended; or in random order."""
    files = [list(tests) for _, tests in itertools.groupby(items, key=lambda test: test.path)]
    seed = config.getoption("--shuffle")
    if seed is None:
        files.sort(key=lambda tests: not any(test.get_closest_marker("slow") for test in tests))
    else:
        chance = random.Random(seed)
        chance.shuffle(files)
        for tests in files:
            chance.shuffle(tests)
    items[:] = itertools.chain(*files)
