"""Crops: the right pixels, repeatable, bounded, broken pairs skipped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.data.crops import choose_boxes, cut_crops
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.errors import DataError, UsageError


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 64), st.integers(1, 40), st.text(max_size=8))
def test_boxes(height, width, size, count, key):
    boxes = choose_boxes((height, width, 3), size, count, key)
    possible = max(0, (height - size) // 2 + 1) * max(0, (width - size) // 2 + 1) if min(height, width) >= size else 0
    assert len(boxes) == len(set(boxes)) == min(count, possible)
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert (x1 - x0, y1 - y0) == (size, size)
        assert x0 % 2 == y0 % 2 == 0
    assert choose_boxes((height, width, 3), size, count, key) == boxes


def test_boxes_reach_every_place():
    boxes = choose_boxes((20, 30, 3), 16, 1000, "all")
    assert boxes == [(x, y, x + 16, y + 16) for y in (0, 2, 4) for x in range(0, 15, 2)]


def test_crops_are_the_pixels_of_their_boxes(dataset):
    pairs = find_pairs(dataset({"a": 1, "b": 2, "c": 3}, height=40, width=50))
    crops = cut_crops(pairs, 16, per_picture=5)
    assert crops.noisy.shape == crops.clean.shape == (15, 16, 16, 3)
    assert crops.noisy.dtype == crops.clean.dtype == np.uint8
    assert [name for name, _ in crops.source] == [name for name in "abc" for _ in range(5)]
    assert len(set(crops.source)) == len(crops) == 15
    frames = {pair.name: pair.read() for pair in pairs}
    for i, (name, (x0, y0, x1, y1)) in enumerate(crops.source):
        np.testing.assert_array_equal(crops.noisy[i], frames[name][0][y0:y1, x0:x1])
        np.testing.assert_array_equal(crops.clean[i], frames[name][1][y0:y1, x0:x1])


def test_boxes_depend_on_name_and_seed_alone(dataset):
    pairs = list(find_pairs(dataset(dict.fromkeys("abcd", 1), height=60, width=60)))
    everything = cut_crops(pairs, 16, per_picture=3)
    assert cut_crops(pairs[::-1], 16, per_picture=3).source == everything.source
    assert cut_crops(pairs[2:3], 16, per_picture=3).source == everything.source[6:9]
    assert cut_crops(pairs, 16, per_picture=3, seed=1).source != everything.source


def test_a_picture_of_just_that_size_gives_one(dataset):
    crops = cut_crops(find_pairs(dataset({"a": 1}, height=32, width=32)), 32, per_picture=8)
    assert crops.source == [("a", (0, 0, 32, 32))]


@pytest.mark.parametrize(
    ("limit", "counts"), [(3, [1, 1, 1]), (7, [1, 2, 2, 2]), (8, [2, 2, 2, 2]), (99, [3, 3, 3, 3])]
)
def test_limit_is_shared_out(dataset, limit, counts):
    pairs = find_pairs(dataset(dict.fromkeys("abcd", 1), height=60, width=60))
    crops = cut_crops(pairs, 16, per_picture=3, limit=limit)
    names = [name for name, _ in crops.source]
    assert sorted(names.count(name) for name in set(names)) == counts
    assert crops.noisy.shape[0] == sum(counts)


def test_each_frame_is_decoded_once_and_let_go(dataset, monkeypatch):
    import weakref

    real, read, alive = Pair.read, [], []

    def watched(pair):
        assert all(frame() is None for frame in alive), "the frames before are still held"
        read.append(pair.name)
        frames = real(pair)
        alive[:] = [weakref.ref(frame) for frame in frames]
        return frames

    monkeypatch.setattr(Pair, "read", watched)
    cut_crops(find_pairs(dataset(dict.fromkeys("abc", 1), height=60, width=60)), 16, per_picture=9)
    assert read == ["a", "b", "c"]


def test_broken_pairs_are_skipped_named_and_counted(dataset, picture, save, caplog):
    root = dataset(dict.fromkeys(("good", "cut", "small", "uneven"), 1), height=40, width=40)
    whole = (root / "noisy" / "cut.png").read_bytes()
    (root / "noisy" / "cut.png").write_bytes(whole[: len(whole) // 2])
    for side in ("noisy", "clean"):
        save(root / side / "small.png", picture(31, 40))
    save(root / "clean" / "uneven.png", picture(40, 42))
    crops = cut_crops(find_pairs(root), 32, per_picture=2)
    assert {name for name, _ in crops.source} == {"good"}
    assert len(crops.problems) == 3
    assert crops.noisy.shape == (2, 32, 32, 3)
    said = caplog.text
    assert "Skipped 3" in said
    for words in ("cut short", "small: 40x31 is smaller than a patch of 32x32", "noisy 40x40 and clean 42x40"):
        assert words in said


def test_a_picture_that_goes_in_the_meantime_is_skipped(dataset):
    root = dataset({"a": 1, "b": 2})
    pairs = find_pairs(root)
    (root / "clean" / "a.png").unlink()
    crops = cut_crops(pairs, 16)
    assert [name for name, _ in crops.source] == ["b"]
    assert len(crops.problems) == 1


def test_nothing_left(dataset):
    pairs = find_pairs(dataset({"a": 1, "b": 2}, height=20, width=20))
    with pytest.raises(DataError, match=r"a: 20x20 is smaller than a patch of 64x64; b: .*Remedy"):
        cut_crops(pairs, 64)
    with pytest.raises(DataError, match="no pairs"):
        cut_crops([], 64)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"per_picture": 0}, {"limit": 0}, {"limit": -1}])
def test_numbers_under_one(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be at least 1"):
        cut_crops([], **({"size": 16} | wrong))


def test_more_than_memory_holds(dataset):
    pairs = find_pairs(dataset({"a": 1}))
    with pytest.raises(UsageError, match=r"GiB\. Remedy: choose fewer"):
        cut_crops(pairs, 1 << 20, per_picture=1 << 30)
