"""Data sets to pack."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quietcam.data.files import MakeDataset
from tests.quietcam.data.packed.packing import SIDD


@pytest.fixture
def few(dataset: MakeDataset) -> Path:
    """Three pairs of 40x50 in three scenes."""
    return dataset({SIDD.format(i, i): i for i in range(1, 4)}, folder="few", height=40, width=50)


@pytest.fixture
def pictures(dataset: MakeDataset) -> Path:
    """Nine pairs of 70x90 in four scenes of SIDD's naming."""
    return dataset({SIDD.format(i, 1 + i // 3): i for i in range(1, 10)}, height=70, width=90)
