"""load_pairs: what a notebook calls, and every command that reads pairs."""

import doctest

import numpy as np
import pytest

from quietcam.data import load
from quietcam.data.load import load_pairs
from quietcam.errors import UsageError

SIDD = "0001_00{}_S6_00100_00060_3200_L"


def test_a_pair_is_read_when_it_is_asked_for(dataset, picture):
    found = load_pairs(str(dataset({SIDD.format(1): 5, "other": 6})))
    assert [(pair.name, pair.scene, pair.phone, pair.iso) for pair in found] == [
        (SIDD.format(1), "001", "S6", 100),
        ("other", "other", None, None),
    ]
    noisy, clean = found[0].read()
    assert noisy.dtype == clean.dtype == np.uint8
    np.testing.assert_array_equal(noisy, picture(seed=1000))
    np.testing.assert_array_equal(clean, picture(seed=5))


def test_one_side_of_a_split(dataset):
    root = dataset({SIDD.format(scene): scene for scene in range(1, 6)})
    wanted = load_pairs(root, split="test:test=003+004,validation=001")
    assert [pair.scene for pair in wanted] == ["003", "004"]
    sides = [{pair.name for pair in load_pairs(root, split=side)} for side in ("train", "validation", "test")]
    assert set.union(*sides) == {pair.name for pair in load_pairs(root)}
    assert sum(map(len, sides)) == 5
    with pytest.raises(UsageError, match="A side is one of all"):
        load_pairs(root, split="half")


def test_the_sides_may_have_names_of_their_own(tmp_path, save, picture):
    save(tmp_path / "a_before.png", picture(seed=1))
    save(tmp_path / "a_after.png", picture(seed=2))
    (pair,) = load_pairs(tmp_path, noisy="*_before", clean="*_after")
    assert pair.name == "a"
    with pytest.raises(UsageError, match=r"Received: `noisy` x alone. Remedy: add `clean`"):
        load_pairs(tmp_path, noisy="x")
    with pytest.raises(UsageError, match=r"Received: `clean` x alone. Remedy: add `noisy`"):
        load_pairs(tmp_path, clean="x")


def test_the_example_runs():
    found = doctest.testmod(load)
    assert found.attempted
    assert not found.failed
