"""Clips in a data set: found, read in order, told apart from unrelated pairs, never on two sides of a split."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.data.clips.clip import group_clips, load_clips
from quietcam.data.clips.mark import MARK
from quietcam.data.load import load_pairs
from quietcam.data.packed.pack import pack
from quietcam.data.packed.reader import open_shards
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.index import index_data
from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.split import SIDES, split_by_scene
from quietcam.errors import DataError


def make_clip(folder, numbers, seed=0, side=32, mark="{}", masks=False):
    """A clip of noise, so that any wrong order, size or place shows."""
    for number in numbers:
        for index, kind in enumerate(("noisy", "clean")):
            rng = np.random.default_rng([seed, number, index])
            write_picture(folder / kind / f"{number:04d}.png", rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        if masks:
            mask = np.zeros((side, side, 3), np.uint8)
            mask[number % side] = 255
            write_picture(folder / "moving" / f"{number:04d}.png", mask)
    if mark is not None:
        (folder / MARK).write_text(mark)
    return folder


@pytest.fixture
def data(tmp_path):
    for index in range(4):
        make_clip(tmp_path / "set" / f"clip_{index}", range(3), seed=index)
    return tmp_path / "set"


def test_a_clips_frames_are_read_in_the_order_of_their_numbers(tmp_path):
    make_clip(tmp_path / "walk", [8, 9, 10, 11], masks=True)
    for path in (tmp_path / "walk" / "noisy").iterdir():
        path.rename(path.with_name(f"frame{int(path.stem)}.png"))  # frame10 stands before frame8
    for path in (tmp_path / "walk" / "clean").iterdir():
        path.rename(path.with_name(f"frame{int(path.stem)}.png"))
    (clip,) = load_clips(tmp_path)
    assert (clip.name, clip.scene, len(clip)) == ("walk", "walk", 4)
    frames = clip.read()
    assert frames.noisy.shape == frames.clean.shape == (4, 32, 32, 3)
    for index, number in enumerate(range(8, 12)):
        wanted = np.random.default_rng([0, number, 0]).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        assert np.array_equal(frames.noisy[index], wanted)
    part = clip.read(1, 2)
    assert np.array_equal(part.clean, frames.clean[1:3])
    assert np.array_equal(part.moving, frames.moving[1:3])


def test_masks_are_read_where_they_are_and_found_where_not(tmp_path):
    clip = load_clips(make_clip(tmp_path / "walk", range(3), masks=True))[0]
    assert [np.flatnonzero(mask.any(axis=1)).tolist() for mask in clip.read().moving] == [[0], [1], [2]]
    shutil.rmtree(tmp_path / "walk" / "moving")
    still = clip.pairs[1].clean
    shutil.copy(clip.pairs[0].clean, still)
    assert [float(mask.mean()) for mask in clip.read().moving] == [1.0, 0.0, 1.0]


def test_the_folder_of_one_clip_and_an_archive_are_data_sets_too(tmp_path, data):
    (alone,) = load_clips(data / "clip_2")
    assert (alone.name, len(alone)) == ("clip_2", 3)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(data.rglob("*.*")):
            archive.write(path, path.relative_to(data))
    packed = load_clips(tmp_path / "set.zip")
    assert [clip.name for clip in packed] == [f"clip_{index}" for index in range(4)]
    assert np.array_equal(packed[2].read().noisy, alone.read().noisy)


def test_frames_are_pairs_of_one_scene(data):
    pairs = load_pairs(data)
    assert len(pairs) == 12
    assert {pair.scene for pair in pairs} == {f"clip_{index}" for index in range(4)}
    (data / "clip_0" / MARK).unlink()
    assert len({pair.scene for pair in load_pairs(data)}) == 3 + 3


def test_clips_of_one_scene_are_told_by_their_mark(data):
    (data / "clip_3" / MARK).write_text('{"scene": "street"}')
    (data / "clip_1" / MARK).write_text('{"scene": "street"}')
    assert {clip.name: clip.scene for clip in load_clips(data)}["clip_3"] == "street"
    for side in SIDES:
        names = {clip.name for clip in load_clips(data, split=f"{side}:test=clip_0,validation=clip_2")}
        assert names == {"test": {"clip_0"}, "validation": {"clip_2"}, "train": {"clip_1", "clip_3"}}[side]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(2, 6), st.sampled_from(["", "a", "b"])), min_size=5, max_size=12),
    st.integers(0, 50),
    st.floats(0.05, 0.4),
)
def test_a_clip_never_stands_on_two_sides(clips, seed, share):
    pairs = [
        Pair(f"c{index}/{number}", Path("none"), Path(f"{index}_{number}"), None, scene or f"c{index}", f"c{index}")
        for index, (count, scene) in enumerate(clips)
        for number in range(count)
    ]
    if len({pair.scene for pair in pairs}) < 3:
        return
    split = split_by_scene([*pairs], test=share, validation=share, seed=seed)
    sides = [{clip.name for clip in group_clips(split.side(side))[0]} for side in SIDES]
    assert sum(map(len, sides)) == len(set().union(*sides)) == len(clips)
    scenes = [{clip.scene for clip in group_clips(split.side(side))[0]} for side in SIDES]
    assert sum(map(len, scenes)) == len(set().union(*scenes))
    for side in SIDES:
        assert not group_clips(split.side(side))[1], "every clip is whole"


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([4], "two frames or more, and this one has one. Remedy: add frames"),
        ([0, 1, 3], "without a gap, and 2 is missing. Remedy: put it there"),
        ([0, 1, 5], "without a gap, and 2 to 4 is missing"),
    ],
)
def test_a_clip_with_one_frame_or_a_missing_number_is_skipped_in_one_line(data, numbers, said):
    make_clip(data / "odd", numbers, seed=9)
    found = load_clips(data)
    assert "odd" not in [clip.name for clip in found]
    assert [said in problem and problem.startswith("odd: ") for problem in found.problems] == [True]
    with pytest.raises(DataError, match="Remedy") as refused:
        load_clips(data / "odd")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [problem.name for problem in index_data(data).problems if problem.kind == "clip"] == ["odd"]


def test_frames_of_different_sizes_are_refused_in_one_line(data):
    small = np.zeros((16, 16, 3), np.uint8)
    for side in ("noisy", "clean"):
        write_picture(data / "clip_1" / side / "0002.png", small)
    with pytest.raises(DataError, match=r"one size\. Received: clip_1, where .*16x16 and others 32x32\. Remedy: crop"):
        load_clips(data)[1].read()
    (problem,) = (problem for problem in index_data(data).problems if problem.kind == "clip")
    assert (problem.name, "16x16" in problem.detail, "Remedy" in problem.detail) == ("clip_1", True, True)


def test_a_data_set_without_clips_says_how_to_declare_one(data):
    for mark in data.rglob(MARK):
        mark.unlink()
    with pytest.raises(DataError, match=r"no folder holds clip\.json\. Remedy: write \{\} into a file clip\.json"):
        load_clips(data)


@pytest.mark.parametrize("content", ["[", "[]", '{"scene": 3}'])
def test_a_damaged_mark_is_named_and_its_frames_stay_together(data, content):
    (data / "clip_0" / MARK).write_text(content)
    found = find_pairs(data)
    assert ["clip_0: " in problem and MARK in problem and "Remedy" in problem for problem in found.problems] == [True]
    assert {pair.scene for pair in found} == {f"clip_{index}" for index in range(4)}


def test_the_index_lists_clips_and_takes_equal_frames_of_one_for_no_mistake(data):
    shutil.copy(data / "clip_0" / "clean" / "0000.png", data / "clip_0" / "clean" / "0001.png")
    index = index_data(data)
    assert index.to_dict()["clips"][0] == {"name": "clip_0", "scene": "clip_0", "frames": 3}
    assert not [problem for problem in index.problems if problem.kind == "duplicate"]
    shutil.copy(data / "clip_0" / "clean" / "0000.png", data / "clip_1" / "clean" / "0001.png")
    assert [problem.kind for problem in index_data(data).problems if problem.kind == "duplicate"] == ["duplicate"]


@pytest.mark.parametrize("per_picture", [None, 3])
def test_a_packed_set_cuts_all_frames_of_a_clip_at_the_same_places(tmp_path, data, per_picture):
    make_clip(data / "street", range(5, 9), seed=7, side=48)
    (data / "clip_3" / "noisy" / "0001.png").write_bytes(b"no picture")
    pack(data, tmp_path / "packed", patch=16, per_picture=per_picture)
    shards = open_shards(tmp_path / "packed")
    runs = shards.runs()
    clips = {clip.name: clip for clip in load_clips(data)}
    seen = 0
    for run in runs:
        entries = [shards.entry(patch) for patch in run.tolist()]
        assert len({entry.box for entry in entries}) == 1
        x0, y0, x1, y1 = entries[0].box
        if entries[0].source.startswith("street/"):
            assert [entry.source for entry in entries] == [f"street/{number:04d}" for number in range(5, 9)]
            frames = clips["street"].read()
            for index, patch in enumerate(run.tolist()):
                assert np.array_equal(shards.pair(patch)[0], frames.noisy[index, y0:y1, x0:x1])
            seen += 1
    assert seen == (9 if per_picture is None else 3)
    broken = [run for run in runs if shards.entry(int(run[0])).source.startswith("clip_3/")]
    assert {len(run) for run in broken} == {1}, "a frame that cannot be read ends a run"
    sides = [{shards.entry(int(run[0])).source.split("/")[0] for run in shards.runs(side)} for side in SIDES]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 5


def test_pairs_alone_are_packed_as_before_there_were_clips(tmp_path, data):
    for mark in data.rglob(MARK):
        mark.unlink()
    pack(data, tmp_path / "packed", patch=16)
    told = json.loads((tmp_path / "packed" / "pack.json").read_text())
    assert not {"clip", "number"} & set(told["pictures"][0])
    assert open_shards(tmp_path / "packed").runs() == []
