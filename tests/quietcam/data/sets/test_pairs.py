"""Pairs in folders as users have them, and the messages for broken pairs."""

from pathlib import Path

import numpy as np
import pytest

from quietcam.data.sets.pairs import Pair, find_pairs
from quietcam.data.sets.sidd import Instance
from quietcam.errors import DataError, UsageError
from tests.quietcam.data.files import touch

FIRST = "0001_001_S6_00100_00060_3200_L"
SECOND = "0002_001_S6_00100_00020_3200_N"
SHARED = Path(__file__).parents[4].parent / "shared" / "data"


def listed(found):
    return [(pair.name, pair.noisy.name, pair.clean.name) for pair in found]


def test_noisy_and_clean_folders(dataset, caplog):
    found = find_pairs(dataset({"b": 1, "a": 2, f"{FIRST}__crop": 3}))
    assert [pair.name for pair in found] == [f"{FIRST}__crop", "a", "b"]
    assert [pair.scene for pair in found] == ["001", "a", "b"]
    assert found[0].instance == Instance.parse(FIRST)
    assert found.problems == []
    assert not caplog.messages


def test_folders_in_folders_and_other_suffixes(tmp_path):
    touch(tmp_path, "Noisy/x/1.png", "Clean/x/1.jpg", "Noisy/y/1.png", "Clean/y/1.PNG")
    assert listed(find_pairs(tmp_path)) == [("x/1", "1.png", "1.jpg"), ("y/1", "1.png", "1.PNG")]


def test_sets_below_the_folder(tmp_path):
    touch(tmp_path, "train/noisy/1.png", "train/clean/1.png", "valid/noisy/1.png", "valid/clean/1.png")
    assert [pair.name for pair in find_pairs(tmp_path)] == ["train/1", "valid/1"]


def test_words_in_names_may_differ(tmp_path):
    touch(
        tmp_path,
        *("noisy/0001_NOISY_SRGB_010.PNG", "clean/0001_GT_SRGB_010.PNG"),
        *("noisy/tree.png", "clean/tree_clean.png"),
    )
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == ["0001_SRGB_010", "tree"]
    assert found.problems == []


def test_exact_names_come_first(tmp_path):
    touch(tmp_path, "noisy/clean_desk.png", "clean/clean_desk.png", "noisy/desk.png", "clean/desk.png")
    found = find_pairs(tmp_path)
    assert [(pair.noisy.name, pair.clean.name) for pair in found] == [
        ("clean_desk.png", "clean_desk.png"),
        ("desk.png", "desk.png"),
    ]
    assert found.problems == []


@pytest.mark.parametrize("top", ["", "SIDD_Small_sRGB_Only/Data", "SIDD_Small_sRGB_Only/SIDD_Small_sRGB_Only/Data"])
@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        ("NOISY_SRGB_010.PNG", "GT_SRGB_010.PNG"),
        ("0001_NOISY_SRGB_010.PNG", "0001_GT_SRGB_010.PNG"),
        ("noisy_srgb_010.png", "gt_srgb_010.png"),
        ("0001_NOISY_SRGB_010.png", "GT_SRGB_010.PNG"),
    ],
)
def test_sidd_at_any_depth(tmp_path, top, noisy, clean):
    touch(tmp_path / top, f"{FIRST}/{noisy}", f"{FIRST}/{clean}", "Scene_Instances.txt", f"{FIRST}/NOISY_RAW_010.MAT")
    found = find_pairs(tmp_path)
    assert listed(found) == [(f"{FIRST}_010", noisy, clean)]
    assert found[0].instance == Instance.parse(FIRST)
    assert found[0].scene == "001"
    assert found.problems == []


def test_sidd_medium_has_two_pairs_an_instance(tmp_path):
    for instance in (FIRST, SECOND):
        for number in ("010", "011"):
            short = instance[:4]
            touch(tmp_path / "Data" / instance, f"{short}_NOISY_SRGB_{number}.PNG", f"{short}_GT_SRGB_{number}.PNG")
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == [f"{FIRST}_010", f"{FIRST}_011", f"{SECOND}_010", f"{SECOND}_011"]
    assert {pair.noisy.parent for pair in found} == {pair.clean.parent for pair in found}


def test_one_instance_folder_alone(tmp_path, monkeypatch):
    touch(tmp_path / FIRST, "NOISY_SRGB_010.PNG", "GT_SRGB_010.PNG")
    assert [pair.name for pair in find_pairs(tmp_path / FIRST)] == [f"{FIRST}_010"]
    monkeypatch.chdir(tmp_path / FIRST)
    assert [pair.name for pair in find_pairs(Path())] == [f"{FIRST}_010"]


def test_sidd_files_thrown_into_one_folder(tmp_path):
    touch(
        tmp_path,
        *("0001_NOISY_SRGB_010.PNG", "0001_GT_SRGB_010.PNG", "0002_NOISY_SRGB_010.PNG", "0002_GT_SRGB_010.PNG"),
        *(f"{FIRST}_NOISY_SRGB_011.PNG", f"{FIRST}_GT_SRGB_011.PNG"),
    )
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == [f"{FIRST}_011", "0001_010", "0002_010"]
    assert [pair.instance is None for pair in found] == [False, True, True]
    for pair in found:
        assert pair.clean.name == pair.noisy.name.replace("NOISY", "GT")


def test_a_set_unpacked_twice_counts_once(tmp_path):
    for top in ("one", "two"):
        touch(tmp_path / top / FIRST, "NOISY_SRGB_010.PNG", "GT_SRGB_010.PNG")
    found = find_pairs(tmp_path)
    assert len(found) == 1
    assert found[0].noisy.parent == found[0].clean.parent == tmp_path / "one" / FIRST
    assert len(found.problems) == 1
    assert "of which one is used" in found.problems[0]


def test_twins_in_one_place_belong_together(tmp_path):
    touch(tmp_path / "one" / FIRST, "GT_SRGB_010.PNG")
    touch(tmp_path / "two" / FIRST, "GT_SRGB_010.PNG", "NOISY_SRGB_010.PNG")
    found = find_pairs(tmp_path)
    assert [pair.clean.parent for pair in found] == [tmp_path / "two" / FIRST]
    assert len(found.problems) == 1


def test_two_pictures_of_one_name(tmp_path):
    touch(tmp_path, "noisy/a.png", "noisy/a.jpg", "clean/a.png", "noisy/b.png", "clean/b.png", "clean/b.jpg")
    touch(tmp_path, "noisy/c.png", "clean/c.png")
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == ["c"]
    assert [problem.split(":")[0] for problem in found.problems] == ["a", "b"]


def test_missing_twins_are_named_counted_and_said(tmp_path, caplog):
    touch(tmp_path, "noisy/a.png", "clean/a.png", "clean/z.png", *(f"noisy/lone_{n}.png" for n in range(8)))
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == ["a"]
    assert len(found.problems) == 9
    assert "noisy/lone_0.png: no clean twin" in found.problems
    assert "clean/z.png: no noisy twin" in found.problems
    said = caplog.text
    assert "Skipped 9" in said
    assert "lone_0.png" in said
    assert "and 4 more" in said
    assert len(said.splitlines()) == 7


def test_hidden_files_and_a_mac_s_shadows_are_no_pictures(tmp_path):
    touch(tmp_path, "noisy/a.png", "clean/a.png", "noisy/._a.png", "__MACOSX/noisy/a.png", ".trash/noisy/b.png")
    found = find_pairs(tmp_path)
    assert len(found) == 1
    assert found.problems == []


def test_links_are_followed_and_circles_end(tmp_path):
    touch(tmp_path / "elsewhere", "noisy/a.png", "clean/a.png")
    root = tmp_path / "set"
    root.mkdir()
    (root / "noisy").symlink_to(tmp_path / "elsewhere" / "noisy")
    (root / "clean").symlink_to(tmp_path / "elsewhere" / "clean")
    (root / "again").symlink_to(root)
    assert [pair.name for pair in find_pairs(root)] == ["a"]


def test_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="nothing there"):
        find_pairs(tmp_path / "none")
    touch(tmp_path, "file")
    with pytest.raises(UsageError, match="a file"):
        find_pairs(tmp_path / "file")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "with none.*Remedy"),
        (("a.png", "b/c.png"), "with none.*Remedy"),
        (("noisy/a.png", "noisy/b.png"), "all 2 had to be skipped: noisy/a.png: no clean twin; .*Remedy"),
        (("noisy/a.png", "clean/b.png"), "all 2 had to be skipped"),
    ],
)
def test_nothing_left(tmp_path, names, said):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=said):
        find_pairs(tmp_path)


def test_one_side_alone(tmp_path):
    touch(tmp_path, "noisy/a.png", "clean/a.png")
    with pytest.raises(DataError, match="give the folder above it"):
        find_pairs(tmp_path / "noisy")


def test_a_pair_reads_both_sides_of_one_size(dataset, picture):
    found = find_pairs(dataset({"a": 5}))
    noisy, clean = found[0].read()
    np.testing.assert_array_equal(noisy, picture(seed=1000))
    np.testing.assert_array_equal(clean, picture(seed=5))


def test_sizes_that_differ(tmp_path, picture, save):
    noisy, clean = save(tmp_path / "n.png", picture(24, 32)), save(tmp_path / "c.png", picture(24, 30))
    with pytest.raises(DataError, match=r"Received: x, noisy 32x24 and clean 30x24.*Remedy"):
        Pair("x", noisy, clean).read()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("folder", "count", "scenes"),
    [
        ("sidd_small_256/train", 95, ["001", "003", "005", "006", "008"]),
        ("sidd_small_256/valid", 11, ["004"]),
        ("sidd_native/train", 23, ["001"]),
        ("sidd_native/valid", 4, ["002", "004"]),
    ],
)
def test_real_folders(folder, count, scenes):
    found = find_pairs(SHARED / folder)
    assert len(found) == count
    assert found.problems == []
    assert sorted({pair.scene for pair in found}) == scenes
    assert all(pair.name.startswith(pair.instance.name) for pair in found)
    noisy, clean = found[0].read()
    assert noisy.shape == clean.shape
