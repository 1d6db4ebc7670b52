"""A part of a run hangs forever: the page answers, frames continue, SIGTERM ends it and all other output is whole.

Many rounds, with the product's own times: `make hang`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.hanging import CASES, compiled, live

PATIENCE = 60.0  # seconds: many times the product's own limits, which a machine that is busy may not reach in time


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    try:
        return compiled(tmp_path_factory.mktemp("libraries"))
    except FileNotFoundError as error:
        pytest.skip(f"{error}, which makes what hangs")


@pytest.mark.parametrize("case", CASES)
def test_what_hangs_is_left_and_all_else_goes_on(case: str, tmp_path: Path, libraries: tuple[Path, Path]) -> None:
    found = live(case, tmp_path, libraries, 1.0, frames=5)
    assert found.faults == [], found.said
    assert found.page < PATIENCE
    assert found.stop < PATIENCE
    assert found.frames >= (0 if "camera" in CASES[case] else 5), found.said
