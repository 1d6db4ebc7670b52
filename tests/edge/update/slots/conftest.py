"""A store, and bundles of several versions, for tests of slots."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.update.slots.store import Store
from tests.edge.update.slots.devices import another_version


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "update")


@pytest.fixture(scope="session")
def versions(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the bundles ``small-1`` to ``small-4``. Nobody writes into them."""
    folder = tmp_path_factory.mktemp("versions")
    return {f"small-{each}": another_version(built, folder / each, each) for each in "1234"}
