"""Pairs in folders as others name them, and by somebody's own names."""

import json
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from quietcam.app.cli import app
from quietcam.data.pictures.files import encode_picture
from quietcam.data.sets.layout import LAYOUT, Layout, inside, read_layout, write_layout
from quietcam.data.sets.noisy_pictures import find_noisy
from quietcam.data.sets.pairs import find_pairs, list_data
from quietcam.data.sets.sides import side_of_folder
from quietcam.errors import DataError, UsageError
from tests.quietcam.data.files import touch


def listed(path):
    return [(pair.name, pair.noisy.parent.name, pair.clean.parent.name) for pair in find_pairs(path)]


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        ("Noisy", "GT"),
        ("noisy", "Ground_Truth"),
        ("noise", "ground-truth"),
        ("lq", "gt"),
        ("LQ", "HQ"),
        ("input", "target"),
        ("inputs", "targets"),
        ("input", "groundtruth"),
        ("input_crops", "gt_crops"),
        ("input_crops", "target_crops"),
        ("low", "high"),
        ("NOISY_SRGB", "GT_SRGB"),
        ("noisy_images", "clean_images"),
        ("degraded", "reference"),
    ],
)
@pytest.mark.parametrize("top", ["", "set/train"])
def test_usual_names_of_the_two_sides(tmp_path, noisy, clean, top):
    touch(tmp_path / top, f"{noisy}/1.png", f"{clean}/1.png", f"{noisy}/x/2.png", f"{clean}/x/2.png")
    prefix = f"{top}/" if top else ""
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == [f"{prefix}1", f"{prefix}x/2"]
    assert [pair.noisy.relative_to(tmp_path / top).parts[0] for pair in found] == [noisy, noisy]
    assert [pair.clean.relative_to(tmp_path / top).parts[0] for pair in found] == [clean, clean]
    assert found.problems == []


def test_our_own_names_come_first(tmp_path):
    touch(tmp_path, *(f"{side}/{light}/1.png" for side in ("noisy", "clean") for light in ("low", "high")))
    touch(tmp_path, "original/1.png", "input/1.png")
    assert [pair.name for pair in find_pairs(tmp_path)] == ["high/1", "low/1"]


def test_a_usual_name_alone_does_not_make_a_side(tmp_path):
    touch(tmp_path, "input/noisy/1.png", "input/clean/1.png")
    assert [pair.name for pair in find_pairs(tmp_path)] == ["input/1"]


@pytest.mark.parametrize("names", [("noisy", "clean", "gt"), ("lq", "low", "hq"), ("input", "target", "original")])
def test_folders_that_claim_one_side_are_refused_with_what_was_found(tmp_path, names):
    touch(tmp_path, *(f"a/{name}/1.png" for name in names))
    with pytest.raises(DataError) as caught:
        find_pairs(tmp_path)
    assert all(f"a/{name}/" in str(caught.value) for name in names)
    assert "could both be the" in str(caught.value)
    assert "--noisy FOLDER --clean FOLDER" in str(caught.value)


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [
        ("Canon5D2_bicycle_1_Real.JPG", "Canon5D2_bicycle_1_mean.JPG"),
        ("Canon5D2_bicycle_1_real.png", "Canon5D2_bicycle_1_mean.png"),
        ("Canon5D2_bicycle_1_noisy.png", "Canon5D2_bicycle_1_gt.png"),
        ("Canon5D2_bicycle_1-lq.png", "Canon5D2_bicycle_1-hq.png"),
        ("noisy_Canon5D2_bicycle_1.png", "clean_Canon5D2_bicycle_1.png"),
    ],
)
def test_twins_in_one_folder_that_differ_in_a_word(tmp_path, noisy, clean):
    touch(tmp_path, f"crops/{noisy}", f"crops/{clean}", "crops/other.png", "crops/NIND_a_low.png")
    found = find_pairs(tmp_path)
    assert [(pair.name, pair.noisy.name, pair.clean.name) for pair in found] == [
        ("crops/Canon5D2_bicycle_1", noisy, clean)
    ]
    assert found.problems == []


def test_half_a_pair_beside_whole_ones_is_named(tmp_path):
    touch(tmp_path, "a_real.png", "a_mean.png", "b_real.png", "c_mean.png", "d_Real.jpg", "d_real.png", "d_mean.png")
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == ["a"]
    assert [problem.split(":")[0] for problem in found.problems] == ["b_real.png", "c_mean.png", "d"]


def test_names_that_differ_in_case_or_in_how_an_accent_is_written(tmp_path):
    accent = "Café"
    touch(tmp_path, "noisy/IMG_1.PNG", "clean/img_1.png", f"noisy/{unicodedata.normalize('NFD', accent)}.png")
    touch(tmp_path, f"clean/{unicodedata.normalize('NFC', accent)}.png")
    assert [pair.name for pair in find_pairs(tmp_path)] == [unicodedata.normalize("NFC", accent), "IMG_1"]


@pytest.mark.parametrize(
    ("noisy", "clean", "files", "names"),
    [
        ("noisy25", "original_png", ("noisy25/1.png", "original_png/1.png", "noisy50/1.png"), ["1"]),
        ("a/in", "a/OUT", ("a/in/1.png", "a/out/1.png", "b/in/2.png", "b/out/2.png"), ["1"]),
        ("in", "out", ("a/in/x/1.png", "a/out/x/1.jpg"), ["a/x/1"]),
        ("*_5000.JPG", "*_100.JPG", ("s/cup_5000.jpg", "s/cup_100.jpg", "s/cup_800.jpg"), ["s/cup"]),
        ("short/*_00", "long/*_10", ("short/7_00.png", "long/7_10.png"), ["7"]),
        ("lq_*/*", "hq_*/*", ("lq_day/1.png", "hq_day/1.png", "hq_day/2.png", "lq_day/2.png"), ["day/1", "day/2"]),
    ],
)
def test_somebodys_own_names(tmp_path, noisy, clean, files, names):
    touch(tmp_path, *files)
    assert [pair.name for pair in list_data(tmp_path, Layout(noisy, clean)).pairs] == names


def test_own_names_are_kept_once_and_every_reader_follows(dataset):
    root = dataset({"a": 1, "b": 2}, height=64, width=64)
    (root / "noisy").rename(root / "before")
    (root / "clean").rename(root / "after")
    with pytest.raises(DataError, match=r"lie in after/ \(2\), before/ \(2\).*--noisy FOLDER --clean FOLDER"):
        find_pairs(root)
    told = CliRunner().invoke(app, ["data", "index", str(root), "--noisy", "before", "--clean", "after"])
    assert told.exit_code == 0, told.output
    assert f"kept in {root / LAYOUT}" in told.output
    assert json.loads((root / LAYOUT).read_text()) == {"noisy": "before", "clean": "after"}
    assert listed(root) == [("a", "before", "after"), ("b", "before", "after")]
    assert len(find_noisy(root).pictures) == 2
    packed = CliRunner().invoke(app, ["data", "pack", str(root), "--out", str(root.parent / "packed"), "--patch", "64"])
    assert packed.exit_code == 0, packed.output
    (root / LAYOUT).write_text("{")
    with pytest.raises(DataError, match=r"Remedy: remove it, or write it again"):
        find_pairs(root)


def test_own_names_as_a_shell_completes_them(dataset):
    root = dataset({"a": 1, "b": 2}, height=64, width=64)
    (root / "noisy").rename(root / "before")
    (root / "clean").rename(root / "after")
    told = CliRunner().invoke(
        app, ["data", "index", str(root), "--noisy", f"{root}/before/", "--clean", str(root / "after")]
    )
    assert told.exit_code == 0, told.output
    assert read_layout(root) == Layout("before/", "after")
    assert len(find_pairs(root)) == 2
    assert inside(Path(), "low") == "low"
    assert inside(Path("low"), "low") == "low"


def test_own_names_that_no_picture_has_are_told(tmp_path):
    tmp_path = tmp_path / "my set"
    touch(tmp_path, "low/1.png", "high/1.png")
    write_layout(tmp_path, Layout("lo", "hi"))
    with pytest.raises(DataError, match=r"no picture matches `noisy` lo and `clean` hi \(kept in .*\); .* low/ \(1\)"):
        find_pairs(tmp_path)
    told = CliRunner().invoke(app, ["data", "index", str(tmp_path), "--noisy", "a", "--clean", "b"])
    assert "no picture matches `noisy` a and `clean` b; its pictures lie in high/ (1), low/ (1)" in str(told.exception)
    command = f"quietcam data index '{tmp_path}' --noisy FOLDER --clean FOLDER"
    assert str(told.exception).endswith(command), "a command that can be copied"
    told = CliRunner().invoke(app, ["data", "index", str(tmp_path), "--noisy", "low", "--clean", "b"])
    assert "no clean twin" in told.output
    assert read_layout(tmp_path) == Layout("lo", "hi"), "names that give no pair are not kept"


def test_own_names_of_an_archive_lie_beside_it(tmp_path, picture):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for side in ("before", "after"):
            file.writestr(f"{side}/1.png", encode_picture(picture(), ".png"))
    told = CliRunner().invoke(app, ["data", "index", str(archive), "--noisy", "before", "--clean", "after"])
    assert told.exit_code == 0, told.output
    assert read_layout(archive) == Layout("before", "after")
    assert [pair.name for pair in find_pairs(archive)] == ["1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--noisy", "x"], "given together. Received: --noisy x alone. Remedy: add --clean."),
        (["--noisy", "x", "--clean", "X"], "must have different names"),
        (["--noisy", "*", "--clean", "x"], "`noisy` is a folder's name"),
        (["--noisy", "no*", "--clean", "*sy"], "both match"),
    ],
)
def test_names_that_cannot_be(tmp_path, options, said):
    touch(tmp_path, "noisy.png")
    told = CliRunner().invoke(app, ["data", "index", str(tmp_path), *options])
    assert isinstance(told.exception, UsageError) or told.exit_code == 2
    assert said in (str(told.exception) + told.output)


def test_blocks_have_their_own_names(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"")
    with pytest.raises(UsageError, match="`noisy` and `clean` apply to folders and archives"):
        list_data(tmp_path / "a.mat", Layout("a", "b"))


def test_archives_with_the_separators_of_windows(tmp_path, picture):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("set\\noisy\\"), b"")
        for side in ("noisy", "clean"):
            for seed, name in enumerate("ab"):
                info = zipfile.ZipInfo("x")
                info.filename = f"set\\{side}\\{name}.png"
                file.writestr(info, encode_picture(picture(seed=seed), ".png"))
    found = find_pairs(archive)
    assert [pair.name for pair in found] == ["set/a", "set/b"]
    assert found.problems == []
    assert np.array_equal(found[1].noisy.read(), picture(seed=1))
    assert str(found[0].noisy).endswith("set.zip/set/noisy/a.png")


def test_what_computers_leave_in_folders_is_ignored_quietly(tmp_path, caplog):
    touch(tmp_path, "noisy/a.png", "clean/a.png", "noisy/._a.png", "noisy/Thumbs.db", "clean/.DS_Store", "desktop.ini")
    touch(tmp_path, "__MACOSX/noisy/._a.png", "noisy/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "$RECYCLE.BIN/noisy/b.png")
    assert len(find_pairs(tmp_path)) == 1
    assert not caplog.messages


def test_photographs_that_are_not_read_are_counted(tmp_path, caplog):
    touch(tmp_path, "noisy/a.png", "clean/a.png", "noisy/b.HEIC", "clean/b.heic", "noisy/c.dng")
    assert len(find_pairs(tmp_path)) == 1
    said = caplog.text
    assert "2 HEIC photos are not read; convert them, for example: heif-convert" in said
    assert "1 camera raw photo is not read" in said
    touch(tmp_path / "only", "noisy/b.heic", "clean/b.heic")
    with pytest.raises(DataError, match=r"2 HEIC photos are not read"):
        find_pairs(tmp_path / "only")


def test_sides_that_a_name_tells():
    assert [side_of_folder(name) for name in ("Noisy", "GT", "ground truth", "input", "cat")] == [
        *("noisy", "clean", "clean"),
        *(None, None),
    ]
