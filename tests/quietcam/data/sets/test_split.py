"""Splits: disjoint, whole, repeatable, nothing shown on two sides."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.data.pictures.files import read_picture
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.sidd import Instance
from quietcam.data.sets.split import SIDES, SplitRule, pairs_of_side, split_by_scene
from quietcam.errors import DataError, UsageError

SHARED = Path(__file__).parents[4].parent / "shared" / "data"


def pairs_of(scene_sizes, folder=Path("nowhere")):
    """Pairs with SIDD instances: ``scene_sizes[i]`` of them in scene i."""
    found = []
    for scene, size in enumerate(scene_sizes):
        for _ in range(size):
            instance = Instance(f"{len(found):04d}", f"{scene:03d}", "S6", 100, 60, 3200, "L")
            found.append(Pair(instance.name, folder / "n.png", folder / f"{instance.name}.png", instance))
    return found


def side_of(split):
    return {pair.name: side for side in SIDES for pair in split.side(side)}


@given(
    st.lists(st.integers(1, 12), min_size=3, max_size=12),
    st.floats(0.01, 0.6),
    st.floats(0.01, 0.35),
    st.integers(0, 50),
    st.randoms(use_true_random=False),
)
def test_properties(sizes, test, validation, seed, random):
    pairs = pairs_of(sizes)
    split = split_by_scene(pairs, test=test, validation=validation, seed=seed)
    assert Counter(pair.name for side in SIDES for pair in split.side(side)) == Counter(pair.name for pair in pairs)
    assert all(split.side(side) for side in SIDES)
    scenes = [set(split.scenes(side)) for side in SIDES]
    assert sum(map(len, scenes)) == len(set().union(*scenes)) == len(sizes)
    assert all(split.side(side) == sorted(split.side(side), key=lambda pair: pair.name) for side in SIDES)
    for share, side in ((test, "test"), (validation, "validation")):
        # Never over its share, save where the smallest free scene alone is.
        assert len(split.side(side)) <= max(share * len(pairs), max(sizes))
    shuffled = pairs.copy()
    random.shuffle(shuffled)
    assert split_by_scene(shuffled, test=test, validation=validation, seed=seed) == split


def test_shares_are_met_where_every_pair_is_a_scene():
    pairs = [Pair(f"scene_{n:06d}", Path("none"), Path("none")) for n in range(100)]
    split = split_by_scene(pairs)
    assert [len(split.side(side)) for side in SIDES] == [70, 15, 15]


def test_the_seed_chooses_other_scenes():
    pairs = pairs_of([3] * 10)
    chosen = {tuple(split_by_scene(pairs, seed=seed).scenes("test")) for seed in range(20)}
    assert len(chosen) > 3


def test_a_pinned_split():
    # The rule may not change silently: models were trained on one side and are judged on the other.
    order = sorted(range(6), key=lambda scene: hashlib.sha256(f"0:{scene:03d}".encode()).digest())
    split = split_by_scene(pairs_of([2] * 6), test=0.34, validation=0.17)
    assert split.scenes("test") == sorted(f"{scene:03d}" for scene in order[:2])
    assert split.scenes("validation") == [f"{order[2]:03d}"]


def test_named_scenes():
    pairs = pairs_of([2, 2, 2, 2])
    split = split_by_scene(pairs, test=["001"], validation=["003", "000"])
    assert [split.scenes(side) for side in SIDES] == [["002"], ["000", "003"], ["001"]]
    split = split_by_scene(pairs, test=["001"], validation=0.25)
    assert split.scenes("test") == ["001"]
    assert len(split.scenes("validation")) == 1


@pytest.mark.parametrize("nothing", [0, 0.0, ()])
def test_a_side_may_be_left_out(nothing):
    split = split_by_scene(pairs_of([3, 4]), test=nothing, validation=0.4)
    assert split.test == []
    assert len(split.validation) == 3
    assert len(split.train) == 4


def test_identical_pictures_stay_on_one_side(dataset):
    # Eight pairs in four couples with one clean picture each; every other name tells nothing of it.
    root = dataset({f"p{n}": n % 4 for n in range(8)})
    pairs = find_pairs(root)
    for seed in range(10):
        sides = side_of(split_by_scene(pairs, seed=seed))
        assert all(sides[f"p{n}"] == sides[f"p{n + 4}"] for n in range(4))
        assert set(sides.values()) == set(SIDES)


def test_identical_pictures_join_chains_of_scenes(tmp_path):
    pairs = pairs_of([2, 2, 2, 1, 1, 1], tmp_path)
    for index, pair in enumerate(pairs):
        pair.clean.write_bytes(bytes([index]))
    # 000 and 001 share a picture, 001 and 002 share another: all three are one.
    shutil.copy(pairs[0].clean, pairs[2].clean)
    shutil.copy(pairs[3].clean, pairs[4].clean)
    for seed in range(10):
        sides = side_of(split_by_scene(pairs, seed=seed))
        assert len({sides[pair.name] for pair in pairs[:6]}) == 1
    split = split_by_scene(pairs, test=["002"])
    assert {"000", "001", "002"} <= set(split.scenes("test"))
    with pytest.raises(DataError, match="share a picture"):
        split_by_scene(pairs, test=["000"], validation=["002"])


def test_no_picture_is_on_two_sides_however_it_is_coded(tmp_path, picture, save):
    # Twelve scenes; scene n shares its clean picture with n + 6 under another coding, n = 0 its noisy one with 3.
    suffixes = [".png", ".bmp"]
    for n in range(12):
        name = f"{n:04d}_{n:03d}_S6_00100_00060_3200_L"
        save(tmp_path / "clean" / f"{name}{suffixes[n // 6]}", picture(seed=n % 6))
        save(tmp_path / "noisy" / f"{name}{suffixes[n // 6]}", picture(seed=100 + (0 if n == 3 else n)))
    pairs = find_pairs(tmp_path)
    for seed in range(10):
        split = split_by_scene(pairs, test=0.25, validation=0.25, seed=seed)
        scenes = [set(split.scenes(side)) for side in SIDES]
        pictures = [
            {read_picture(place).tobytes() for pair in split.side(side) for place in (pair.noisy, pair.clean)}
            for side in SIDES
        ]
        for shown in (scenes, pictures):
            assert all(shown)
            assert sum(map(len, shown)) == len(set().union(*shown))
        sides = {pair.scene: side for side in SIDES for pair in split.side(side)}
        assert len({sides[scene] for scene in ("000", "003", "006", "009")}) == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, SplitRule()),
        ("", SplitRule(0.15, 0.15, 0)),
        ("test=004", SplitRule(test=("004",))),
        ("test=004,validation=001+003", SplitRule(("004",), ("001", "003"))),
        ("validation=0.2, test=0, seed=7", SplitRule(0.0, 0.2, 7)),
        ("test=.25,validation=img.v2", SplitRule(0.25, ("img.v2",))),
    ],
)
def test_rules_are_read(text, rule):
    assert SplitRule.parse(text) == rule
    assert SplitRule.parse(str(rule)) == rule


@pytest.mark.parametrize("text", ["004", "test=", "test=004,x", "val=001", "test=1,test=2", "seed=-1"])
def test_rules_that_cannot_be_read(text):
    with pytest.raises(UsageError, match=r"Received.*Remedy: for example test=004"):
        SplitRule.parse(text)


def test_a_rule_splits_as_its_arguments_do():
    pairs = pairs_of([2, 3, 2, 2, 4])
    assert SplitRule.parse(None).split(pairs) == split_by_scene(pairs)
    assert SplitRule.parse("test=001,validation=0.2,seed=3").split(pairs) == split_by_scene(
        pairs, test=["001"], validation=0.2, seed=3
    )
    assert (
        pairs_of_side(pairs, "validation:test=001,validation=003+000")
        == split_by_scene(pairs, test=["001"], validation=["003", "000"]).validation
    )


@pytest.mark.parametrize("side", ["val", "all:test=001", "test:", "test=001", ""])
def test_sides_that_are_none(side):
    with pytest.raises(UsageError, match="A side is one of all, train, validation, test"):
        pairs_of_side(pairs_of([2, 2, 2]), side)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=0, max_size=2))
def test_too_few_scenes(sizes):
    with pytest.raises(DataError, match=rf"at least 3 scenes. Received: {len(sizes)} .*Remedy"):
        split_by_scene(pairs_of(sizes))


def test_too_few_scenes_because_they_are_one(dataset):
    pairs = find_pairs(dataset({"a": 1, "b": 1, "c": 2}))
    with pytest.raises(DataError, match=r"Received: 3 .*of which 2 share no picture"):
        split_by_scene(pairs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"test": 1.0}, "test=1.0"),
        ({"validation": -0.1}, "validation=-0.1"),
        ({"test": float("nan")}, "test=nan"),
        ({"test": 0.5, "validation": 0.5}, "leave pairs for training"),
        ({"test": ["009"]}, "Received: 009. Remedy: choose from 000 001 002"),
        ({"test": "001", "validation": ["001"]}, "001, named for test and for validation"),
    ],
)
def test_what_cannot_be_split(arguments, said):
    with pytest.raises((UsageError, DataError), match=said):
        split_by_scene(pairs_of([2, 2, 2]), **arguments)


def test_all_named_leaves_nothing_to_train_on():
    with pytest.raises(DataError, match="at least 3 scenes"):
        split_by_scene(pairs_of([1, 1]), test=["000"], validation=["001"])


def test_pairs_of_side():
    pairs = pairs_of([2, 2, 2])
    assert pairs_of_side(pairs, "all") == pairs
    split = split_by_scene(pairs)
    assert [pairs_of_side(pairs, side) for side in SIDES] == [split.train, split.validation, split.test]
    assert pairs_of_side(pairs[:1], "all") == pairs[:1]
    with pytest.raises(UsageError, match="Received: 'val'"):
        pairs_of_side(pairs, "val")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_real_scenes():
    split = split_by_scene(find_pairs(SHARED / "sidd_small_256" / "train"))
    assert sum(len(split.side(side)) for side in SIDES) == 95
    hashes = [{hashlib.sha256(pair.clean.read_bytes()).digest() for pair in split.side(side)} for side in SIDES]
    assert not hashes[0] & hashes[1]
    assert not (hashes[0] | hashes[1]) & hashes[2]
    with pytest.raises(DataError, match="Received: 1 "):
        split_by_scene(find_pairs(SHARED / "sidd_native" / "train"))
