"""Settings and fixtures that all tests share."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from quietcam.terminal.log import log

# Fixtures that several folders share. They load without TensorFlow, too.
pytest_plugins = ["tests.browser", "tests.converted", "tests.small_models"]

ROOT = Path(__file__).parent
NEED_TENSORFLOW = ("compare", "convert", "train")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# A busy machine must not fail a test: no test measures time, so hypothesis's deadline is off, too.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A test that leaves the library's log changed fails itself, and no other one after it."""

    def state() -> tuple[object, ...]:
        return log.handlers[:], log.filters[:], log.level, log.propagate, log.disabled, logging.root.manager.disable

    before, level, propagate = state(), log.level, log.propagate
    yield
    after = state()
    log.setLevel(level)
    log.propagate = propagate
    assert after == before


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The log lines of the library during the test, from INFO up. The list grows during the test."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Keep(logging.INFO)
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was captured becomes valid text: names that are not UTF-8 do not pass between the processes of a run."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


class NeedsTensorFlow(pytest.Module):
    """A file of tests that cannot be imported here."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("needs the extra 'train'", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Tests of the desktop's stages skip where TensorFlow is not installed; None: pytest makes the module itself."""
    if module_path.relative_to(ROOT).parts[0] not in NEED_TENSORFLOW or importlib.util.find_spec("tensorflow"):
        return None
    return NeedsTensorFlow.from_parent(parent, path=module_path)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run files, and the tests within each, in an order of this seed"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order tests: files with slow tests first, so that none of them runs alone at the end; or in random order."""
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
