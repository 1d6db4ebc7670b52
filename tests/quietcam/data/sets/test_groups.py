"""The groups of a picture, and the samples that scores are taken of."""

from pathlib import Path

import numpy as np
import pytest

from quietcam.data.samples import SampleSet
from quietcam.data.sets.groups import group_order, groups_of, iso_bucket
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.sidd import Instance
from quietcam.errors import DataError


def pair(name):
    return Pair(name, Path("n.png"), Path("c.png"), Instance.parse(name))


@pytest.mark.parametrize(
    ("iso", "bucket"),
    [
        (50, "up to 100"), (100, "up to 100"), (101, "101-400"), (400, "101-400"), (401, "401-1600"),
        (1600, "401-1600"), (1601, "1601-6400"), (6400, "1601-6400"), (6401, "above 6400"), (10000, "above 6400"),
    ],
)  # fmt: skip
def test_iso_in_buckets_of_two_stops(iso, bucket):
    assert iso_bucket(iso) == bucket


def test_names_tell_phone_iso_and_brightness(picture):
    assert groups_of(pair("0001_001_N6_03200_00060_3200_L"), picture()) == [
        ("phone", "N6 (Nexus 6)"),
        ("iso", "1601-6400"),
        ("brightness", "low light"),
    ]
    assert ("phone", "X9") in groups_of(pair("0001_001_X9_03200_00060_3200_H"), picture())


@pytest.mark.parametrize(("level", "name"), [(63, "dark"), (64, "middle"), (127, "middle"), (128, "bright")])
@pytest.mark.parametrize("channels", [1, 3])
def test_without_a_name_brightness_is_measured(level, name, channels):
    ((kind, value),) = groups_of(pair("holiday"), np.full((8, 8, channels), level, np.uint8))
    assert kind == "brightness"
    assert value.startswith(name)


def test_groups_come_in_ascending_order():
    buckets = [("iso", iso_bucket(iso)) for iso in (9000, 50, 300, 5000, 800)]
    assert [value for _, value in sorted(buckets, key=group_order)] == [
        "up to 100", "101-400", "401-1600", "1601-6400", "above 6400",
    ]  # fmt: skip


def test_a_large_picture_is_looked_at_in_the_same_crops_each_time(tmp_path, picture, save):
    for side in ("noisy", "clean"):
        save(tmp_path / side / "large.png", picture(1030, 1040, 3))
        save(tmp_path / side / "small.png", picture(30, 40, 4))
    samples = SampleSet(find_pairs(tmp_path).pairs)
    once, again = ([(sample.name, sample.noisy.shape) for sample in samples] for _ in range(2))
    assert once == again
    assert [shape for _, shape in once] == [(512, 512, 3)] * 4 + [(30, 40, 3)]
    x, y = map(int, once[2][0].partition("@")[2].split(","))
    found = samples.find(once[2][0])
    np.testing.assert_array_equal(found.noisy, picture(1030, 1040, 3)[y : y + 512, x : x + 512])


def test_without_pairs_there_is_nothing_to_score():
    with pytest.raises(DataError, match="Received: none"):
        SampleSet([])
