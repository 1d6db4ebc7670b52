from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quietcam.data.pictures.files import write_picture
from quietcam.data.samples import SampleSet
from quietcam.data.sets.pairs import find_pairs
from quietcam.errors import DataError


def test_small_pictures_are_taken_whole_and_a_limit_is_spread(pair_folder: Path) -> None:
    pairs = find_pairs(pair_folder).pairs
    assert [sample.name for sample in SampleSet(pairs)] == ["p0", "p1", "p2", "p3", "p4"]
    assert [sample.name for sample in SampleSet(pairs, limit=3)] == ["p0", "p2", "p4"]
    assert [sample.name for sample in SampleSet(pairs, limit=9)] == ["p0", "p1", "p2", "p3", "p4"]
    assert SampleSet(pairs).find("p3").noisy.shape == (64, 64, 3)


def test_a_large_picture_gives_four_crops_the_same_ones_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (1100, 1000, 3), np.uint8)
    for side in ("noisy", "clean"):
        write_picture(tmp_path / side / "large.png", noisy if side == "noisy" else 255 - noisy)
    samples = SampleSet(find_pairs(tmp_path).pairs)
    first = list(samples)
    assert len(first) == 4
    for sample, again in zip(first, samples, strict=True):
        x, y = (int(part) for part in sample.name.split("@")[1].split(","))
        np.testing.assert_array_equal(sample.noisy, noisy[y : y + 512, x : x + 512])
        np.testing.assert_array_equal(sample.clean, 255 - sample.noisy)
        np.testing.assert_array_equal(sample.noisy, again.noisy)
        np.testing.assert_array_equal(samples.find(sample.name).noisy, sample.noisy)


def test_a_broken_pair_is_left_out_and_named(pair_folder: Path, tmp_path: Path) -> None:
    for side in ("noisy", "clean"):
        (tmp_path / side).mkdir()
        for path in (pair_folder / side).iterdir():
            (tmp_path / side / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "clean" / "p1.png"
    broken.write_bytes(broken.read_bytes()[:300])
    samples = SampleSet(find_pairs(tmp_path).pairs)
    assert [sample.name for sample in samples] == ["p0", "p2", "p3", "p4"]
    assert len(samples.problems) == 1
    assert "p1" in samples.problems[0]
    with pytest.raises(DataError, match="p1"):
        list(SampleSet(find_pairs(tmp_path).pairs[1:2]))


def test_no_pairs_are_an_error() -> None:
    with pytest.raises(DataError, match="none"):
        SampleSet([])
