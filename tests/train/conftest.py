"""Small crops of generated scenes, and the smallest network of the family."""

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

from quietcam.architecture import Architecture
from quietcam.data.crops import cut_crops
from quietcam.data.generated import write_pairs
from quietcam.data.pairs import find_pairs


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder, count=8, size=64, band=(20.0, 24.0))
    return folder


@pytest.fixture(scope="session")
def crops(pair_folder):
    return cut_crops(find_pairs(pair_folder).pairs, 64)


@pytest.fixture(scope="session")
def tiny():
    return Architecture(stem=2, widths=(8, 16), depths=(1, 1))
