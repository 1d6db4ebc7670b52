"""Bundles that tests of updates share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.update.bundles import make_bundle
from tests.small_models import with_manifest


@pytest.fixture(scope="session")
def built(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder of a small int8 model and a setting. Nobody writes into it."""
    folder = tmp_path_factory.mktemp("built")
    model = with_manifest(models, folder, "small_32x32_int8", receptive_field=6, stride=2)
    return make_bundle(folder / "bundle", model, settings="strength = 0.5\n")
