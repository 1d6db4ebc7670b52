"""Packing: the right pixels, and each frame decoded once."""

import os
import threading
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.data.crops import choose_boxes
from quietcam.data.packed.pack import grid_boxes, pack
from quietcam.data.packed.reader import open_shards
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.errors import DataError, UsageError
from tests.quietcam.data.packed.packing import SIDD, content


@given(st.integers(1, 120), st.integers(1, 120), st.integers(1, 50))
def test_grid(height, width, size):
    boxes = grid_boxes((height, width, 3), size)
    step = size + size % 2
    expected = 0 if min(height, width) < size else ((height - size) // step + 1) * ((width - size) // step + 1)
    assert len(boxes) == len(set(boxes)) == expected
    covered = np.zeros((height, width), int)
    for x0, y0, x1, y1 in boxes:
        assert x0 % 2 == y0 % 2 == 0
        assert (x1 - x0, y1 - y0) == (size, size)
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        covered[y0:y1, x0:x1] += 1
    assert covered.max() <= 1


def test_grid_covers_a_picture_of_whole_patches():
    assert grid_boxes((32, 48, 3), 16) == [(x, y, x + 16, y + 16) for y in (0, 16) for x in (0, 16, 32)]
    assert len(grid_boxes((3000, 5328, 3), 256)) == 11 * 20


@pytest.mark.parametrize("per_picture", [None, 3])
def test_patches_are_the_pixels_of_their_boxes(pictures, tmp_path, per_picture):
    report = pack(pictures, tmp_path / "packed", patch=32, per_picture=per_picture, seed=4)
    found = open_shards(tmp_path / "packed")
    expected = []
    for pair in find_pairs(pictures):
        frames = pair.read()
        boxes = grid_boxes((70, 90), 32) if per_picture is None else choose_boxes((70, 90), 32, 3, f"4:{pair.name}")
        expected += [(pair, box, [side[box[1] : box[3], box[0] : box[2]] for side in frames]) for box in boxes]
    assert len(found) == len(expected) == report.patches == 9 * (4 if per_picture is None else 3)
    for number, (pair, box, sides) in enumerate(expected):
        np.testing.assert_array_equal(found.pair(number), sides)
        entry = found.entry(number)
        assert (entry.source, entry.instance, entry.box) == (pair.name, pair.instance.name, box)
    assert report.pictures == 9
    assert report.pixel_bytes == len(expected) * 2 * 32 * 32 * 3


def test_sides_are_those_of_the_split(pictures, tmp_path):
    from quietcam.data.sets.split import split_by_scene

    report = pack(pictures, tmp_path / "all", patch=32)
    split = split_by_scene(find_pairs(pictures))
    found = open_shards(tmp_path / "all")
    for side in ("train", "validation", "test"):
        names = {found.entry(int(number)).source for number in found.of_side(side)}
        assert names == {pair.name for pair in split.side(side)}
        assert report.sides[side] == 4 * len(names)
        pack(pictures, tmp_path / side, patch=32, split=side)
        assert {picture.name for picture in open_shards(tmp_path / side).plan.pictures} == names


def test_a_split_of_ones_own(pictures, tmp_path):
    report = pack(pictures, tmp_path / "packed", patch=32, split="test=002,validation=003")
    assert report.sides == {"train": 12, "validation": 12, "test": 12}
    found = open_shards(tmp_path / "packed")
    assert {found.entry(int(i)).instance[5:8] for i in found.of_side("test")} == {"002"}


def test_gray_patches_are_opencvs_luma(pictures, tmp_path):
    pack(pictures, tmp_path / "packed", patch=32, channels=1)
    found = open_shards(tmp_path / "packed")
    pair = next(iter(find_pairs(pictures)))
    x0, y0, x1, y1 = found.entry(0).box
    for side, whole in zip(found.pair(0), pair.read(), strict=True):
        luma = cv2.cvtColor(whole[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
        assert side.shape == (32, 32, 1)
        assert np.abs(side[..., 0].astype(int) - luma).max() <= 1


def test_an_archive_and_the_folder_give_the_same_patches(pictures, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for path in sorted(pictures.rglob("*.*")):
            file.write(path, path.relative_to(pictures))
    pack(tmp_path / "set.zip", tmp_path / "zipped", patch=32)
    pack(pictures, tmp_path / "packed", patch=32)
    zipped, packed = (open_shards(tmp_path / name) for name in ("zipped", "packed"))
    assert len(zipped) == len(packed) == 36
    for number in range(36):
        assert zipped.entry(number) == packed.entry(number)


def test_validation_blocks_are_packed(tmp_path):
    blocks = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 40, 40, 3), np.uint8)
    for name, side in zip(("Noisy", "Gt"), blocks, strict=True):
        pytest.importorskip("scipy.io", reason="needs the extra 'train'").savemat(
            tmp_path / f"Validation{name}BlocksSrgb.mat", {f"Validation{name}BlocksSrgb": side}, do_compression=True
        )
    report = pack(tmp_path / "ValidationNoisyBlocksSrgb.mat", tmp_path / "packed", patch=40)
    found = open_shards(tmp_path / "packed")
    assert report.patches == len(found) == 6
    packed = sorted(np.stack(found.pair(number)).tobytes() for number in range(6))
    assert packed == sorted(blocks[:, i, j].tobytes() for i in range(2) for j in range(3))


def test_too_few_scenes_to_split_are_packed_without_sides(dataset, tmp_path, caplog):
    report = pack(dataset({"a": 1}, height=40, width=40), tmp_path / "packed", patch=32)
    assert report.sides == {}
    assert "records no split" in caplog.text
    with pytest.raises(DataError, match="at least 3 scenes"):
        pack(dataset({"a": 1}, height=40, width=40), tmp_path / "train", patch=32, split="train")


def test_each_frame_is_decoded_once_and_at_most_two_pairs_are_held(pictures, tmp_path, monkeypatch):
    import gc
    import weakref

    real, read, alive, most, lock = Pair.read, [], [], [], threading.Lock()

    def watched(pair):
        with lock:
            most.append(sum(frame() is not None for frame in alive))
        frames = real(pair)
        with lock:
            read.append(pair.name)
            alive.append(weakref.ref(frames[0]))
        return frames

    monkeypatch.setattr(Pair, "read", watched)
    gc.disable()  # by reference counts alone, or memory would depend on when the collector runs
    try:
        pack(pictures, tmp_path / "packed", patch=32)
    finally:
        gc.enable()
    assert read == sorted(set(read))
    assert len(read) == 9
    assert max(most) <= 1, "beside the pair that is decoded, at most one is held"


def test_names_that_are_no_text_are_packed_and_found_again(dataset, tmp_path):
    data = dataset({"odd": 1, "plain": 2}, folder="odd", height=40, width=50)
    for side in ("noisy", "clean"):
        (data / side / "odd.png").rename(data / side / os.fsdecode(b"caf\xe9.png"))
    pack(data, tmp_path / "packed", patch=16)
    whole = content(tmp_path / "packed")
    shards = open_shards(tmp_path / "packed")
    assert {shards.entry(number).source for number in range(len(shards))} == {"caf\\xe9", "plain"}
    (tmp_path / "packed" / "complete.json").unlink()
    pack(data, tmp_path / "packed", patch=16)
    assert content(tmp_path / "packed") == whole


def test_broken_pairs_are_skipped_named_and_stay_so(pictures, picture, save, tmp_path, caplog):
    name = SIDD.format(2, 1)
    whole = (pictures / "noisy" / f"{name}.png").read_bytes()
    (pictures / "noisy" / f"{name}.png").write_bytes(whole[: len(whole) // 2])
    for side in ("noisy", "clean"):
        save(pictures / side / "small.png", picture(31, 40))
    save(pictures / "noisy" / "alone.png", picture())
    report = pack(pictures, tmp_path / "packed", patch=32)
    assert report.patches == 8 * 4
    assert len(report.skipped) == 3
    words = ("alone.png: no clean twin", "cut short", "small: 40x31 is smaller than a patch of 32x32")
    for skipped, expected in zip(report.skipped, words, strict=True):
        assert expected in skipped
    assert "Skipped 2 while packing" in caplog.text
    assert pack(pictures, tmp_path / "packed", patch=32).skipped == report.skipped


def test_nothing_left_leaves_nothing_behind(pictures, tmp_path):
    with pytest.raises(DataError, match=r"90x70 is smaller than a patch of 80x80.*\(and 6 more\)"):
        pack(pictures, tmp_path / "packed", patch=80)
    assert content(tmp_path / "packed") == {}
    assert pack(pictures, tmp_path / "packed", patch=64).patches == 9


def test_a_picture_that_goes_meanwhile_stops_it_and_comes_back(pictures, tmp_path, monkeypatch):
    """A drive that is unplugged must not end as a set with most pictures skipped."""
    whole = pack(pictures, tmp_path / "whole", patch=32)
    away = pictures / "clean" / f"{SIDD.format(6, 3)}.png"
    kept = away.read_bytes()
    real = Pair.read

    def unplugged(pair):
        if pair.clean == away:
            away.unlink()
        return real(pair)

    with monkeypatch.context() as patched:
        patched.setattr(Pair, "read", unplugged)
        with pytest.raises(UsageError, match=r"file that exists.*Then run the same command again"):
            pack(pictures, tmp_path / "packed", patch=32)
    away.write_bytes(kept)
    again = pack(pictures, tmp_path / "packed", patch=32)
    assert again.kept == 5 * 4
    assert again.sha256 == whole.sha256
    assert content(tmp_path / "packed") == content(tmp_path / "whole")


def test_a_picture_that_changed_is_refused(pictures, tmp_path, picture, save):
    pack(pictures, tmp_path / "packed", patch=32)
    (tmp_path / "packed" / "complete.json").unlink()
    save(pictures / "clean" / f"{SIDD.format(9, 4)}.png", picture(70, 88))
    with pytest.raises(DataError, match=f"1 pictures were changed.*{SIDD.format(9, 4)}"):
        pack(pictures, tmp_path / "packed", patch=32)


def test_a_complete_set_is_checked(pictures, tmp_path, said):
    first = pack(pictures, tmp_path / "packed", patch=32)
    before = content(tmp_path / "packed")
    second = pack(pictures, tmp_path / "packed", patch=32)
    assert (second.patches, second.kept, second.sha256) == (first.patches, first.patches, first.sha256)
    assert content(tmp_path / "packed") == before
    assert any(line.startswith("Checking") for line in said)
    with (tmp_path / "packed" / "shard_00000.u8").open("rb+") as file:
        file.write(bytes([before["shard_00000.u8"][0] ^ 255]))
    with pytest.raises(DataError, match=r"1 that do not, the first one from 0001_001"):
        pack(pictures, tmp_path / "packed", patch=32)


@pytest.mark.parametrize("wrong", [{"patch": 0}, {"per_picture": 0}, {"split": "valid"}])
def test_wrong_values(pictures, tmp_path, wrong):
    with pytest.raises(UsageError, match=r"Received: "):
        pack(pictures, tmp_path / "packed", **wrong)
    assert not (tmp_path / "packed").exists()
