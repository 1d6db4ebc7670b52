"""The audit, and the command of the linter: each way in which a sample can fail to match is told apart."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quietcam.app.cli import run
from quietcam.data.pictures.files import write_picture
from quietcam.errors import DataError
from quietcam.image import Image, to_gray
from quietcam.representative.array_file import read_array
from quietcam.representative.audit import audit, read_samples, rebuild
from quietcam.representative.set import RepresentativeSet, patch_sha256, save_set

SIDE = 64
INSTANCE = "0001_001_S6_00100_00060_3200_L"


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, dict[str, Image]]:
    """A data set of 18 pairs, and its pictures by ``side/name``."""
    rng = np.random.default_rng(0)
    folder, made = tmp_path / "pairs", {}
    ramp = np.linspace(0, 255, 96)[None, :, None]
    for index in range(18):
        name = f"{INSTANCE}_{index:03d}"
        clean = np.clip(ramp * [1.0, 0.9, 0.7] + rng.normal(0, 20, (9, 12, 1)).repeat(8, 0).repeat(8, 1), 0, 255)
        noisy = np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255)
        noisy[0, 0], noisy[0, 1] = 0, 255
        for side, picture in (("noisy", noisy), ("clean", clean)):
            made[f"{side}/{name}"] = picture.astype(np.uint8)
            write_picture(folder / side / f"{name}.png", made[f"{side}/{name}"])
    return folder, made


@pytest.fixture
def good(pictures: tuple[Path, dict[str, Image]]) -> RepresentativeSet:
    noisy = [(key.removeprefix("noisy/"), value) for key, value in pictures[1].items() if key.startswith("noisy/")]
    boxes = [(2 * (i % 8), 2 * (i % 3), 2 * (i % 8) + SIDE, 2 * (i % 3) + SIDE) for i in range(len(noisy))]
    boxes[0] = (0, 0, SIDE, SIDE)
    patches = np.stack([value[y0:y1, x0:x1] for (_, value), (x0, y0, x1, y1) in zip(noisy, boxes, strict=True)])
    return remade(patches, tuple(name for name, _ in noisy), (INSTANCE,) * len(noisy), np.array(boxes, np.int32))


def remade(patches: Image, source: tuple[str, ...], instance: tuple[str, ...], box: np.ndarray) -> RepresentativeSet:
    return RepresentativeSet(patches, source, instance, box, tuple(patch_sha256(each) for each in patches), {"seed": 0})


def swapped(good: RepresentativeSet, number: int, patch: Image) -> RepresentativeSet:
    """The set with another patch there, and its hash."""
    patches = good.patches.copy()
    patches[number] = patch
    return remade(patches, good.source, good.instance, good.box)


def written(path: Path, representative: RepresentativeSet) -> Path:
    save_set(path, representative)
    return path


def verdicts(path: Path, data: Path) -> dict[int, str]:
    return {each.number: each.verdict for each in audit(read_samples(path), data).wrong}


def test_a_set_matches_its_data_and_is_rebuilt(
    pictures: tuple[Path, dict[str, Image]], good: RepresentativeSet, tmp_path: Path
) -> None:
    path = written(tmp_path / "rep.npz", good)
    listed = read_samples(path)
    found = audit(listed, pictures[0])
    assert found.counts() == {"matches": 18}
    again = rebuild(listed, pictures[0])
    np.testing.assert_array_equal(again.patches, good.patches)
    assert again.digest == good.digest


def test_each_way_to_differ_has_a_name(
    pictures: tuple[Path, dict[str, Image]], good: RepresentativeSet, tmp_path: Path
) -> None:
    folder, made = pictures
    x0, y0, x1, y1 = good.box[3].tolist()
    clean = made[f"clean/{good.source[3]}"][y0:y1, x0:x1]
    wrong = swapped(swapped(good, 3, clean), 5, good.patches[5][..., ::-1])
    wrong = swapped(wrong, 7, wrong.patches[7] ^ 1)
    box = wrong.box.copy()
    box[9] = (90, 0, 90 + SIDE, SIDE)
    wrong = replace(wrong, box=box)
    wrong = replace(wrong, instance=(*wrong.instance[:11], "0002_001_S6_00100_00060_3200_L", *wrong.instance[12:]))
    wrong = replace(wrong, source=(*wrong.source[:13], "elsewhere", *wrong.source[14:]))
    (folder / "noisy" / f"{good.source[15]}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    path = written(tmp_path / "rep.npz", wrong)
    assert verdicts(path, folder) == {
        3: "clean", 5: "swapped", 7: "differs", 9: "outside", 11: "instance", 13: "gone", 15: "unreadable",
    }  # fmt: skip
    with pytest.raises(DataError, match=r"7 of 18 samples do not match: sample 3, .*clean twin"):
        rebuild(read_samples(path), folder)


def test_pixels_that_were_changed_in_the_file_are_named(
    pictures: tuple[Path, dict[str, Image]], good: RepresentativeSet, tmp_path: Path
) -> None:
    path = written(tmp_path / "rep.npz", good)
    content = bytearray(path.read_bytes())
    at = content.index(good.patches[4].tobytes()) + 100
    content[at] ^= 1
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    patches = bytearray(members["patches.npy"])
    patches[patches.index(good.patches[4].tobytes()) + 100] ^= 1
    with zipfile.ZipFile(path, "w") as archive:  # a file that is whole, with checksums that fit
        for name, member in members.items():
            archive.writestr(name, bytes(patches) if name == "patches.npy" else member)
    assert verdicts(path, pictures[0]) == {4: "changed"}
    assert run(["lint", str(path)]) == 1
    assert run(["lint", str(path), "--data", str(pictures[0])]) == 3


def test_history_that_was_changed_in_the_file_is_named(
    pictures: tuple[Path, dict[str, Image]], good: RepresentativeSet, tmp_path: Path
) -> None:
    history = np.ascontiguousarray(good.patches[::-1])
    hashes = tuple(patch_sha256(each) for each in history)
    path = written(tmp_path / "rep.npz", replace(good, history=history, history_sha256=hashes))
    assert read_samples(path).has_history
    assert not read_samples(written(tmp_path / "still.npz", good)).has_history
    assert verdicts(path, pictures[0]) == {}
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["history"][6, 0, 0, 0] ^= 1
    np.savez(path, **arrays)
    assert verdicts(path, pictures[0]) == {6: "changed"}
    assert run(["lint", str(path)]) == 1
    assert run(["lint", str(path), "--data", str(pictures[0])]) == 3
    for lost in ("history", "history_sha256"):
        np.savez(path, **{name: array for name, array in arrays.items() if name != lost})
        assert run(["lint", str(path)]) == 1


def test_a_set_for_a_video_network_needs_history(
    good: RepresentativeSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "rep.npz", good)
    assert run(["lint", str(path)]) == 0
    assert run(["lint", str(path), "--video"]) == 3
    assert "history-missing" in capsys.readouterr().out


def test_gray_sets_are_audited_in_gray(
    pictures: tuple[Path, dict[str, Image]], good: RepresentativeSet, tmp_path: Path
) -> None:
    gray = np.stack([to_gray(patch) for patch in good.patches])
    path = written(tmp_path / "rep.npz", remade(gray, good.source, good.instance, good.box))
    assert verdicts(path, pictures[0]) == {}


def test_lint_says_all_is_well(
    pictures: tuple[Path, dict[str, Image]],
    good: RepresentativeSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written(tmp_path / "rep.npz", good)
    assert run(["lint", str(path), "--data", str(pictures[0]), "--json", str(tmp_path / "lint.json")]) == 0
    shown = capsys.readouterr().out
    assert "no findings" in shown
    assert "all 18 samples match the data" in shown
    report = json.loads((tmp_path / "lint.json").read_text())
    assert report["findings"] == []
    assert report["audit"] == {"samples": 18, "counts": {"matches": 18}, "wrong": []}


def test_lint_names_the_sample_that_does_not_match_and_exits_with_3(
    pictures: tuple[Path, dict[str, Image]],
    good: RepresentativeSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written(tmp_path / "rep.npz", swapped(good, 6, good.patches[7]))
    assert run(["lint", str(path), "--data", str(pictures[0])]) == 3
    shown = capsys.readouterr()
    assert f"sample 6, {good.source[6]}" in shown.out
    assert "1 of 18 samples" in shown.err


@pytest.mark.parametrize(
    ("turn", "code", "names"),
    [
        (lambda p: p.astype(np.float32), 3, ["range-255"]),
        (lambda p: p / np.float32(127.5) - 1, 0, ["range-signed"]),
        (lambda p: np.zeros_like(p), 3, ["constant"]),
        (lambda p: np.moveaxis(p, 3, 1) / 255, 0, ["layout", "dtype"]),
    ],
)
def test_foreign_files_are_linted(
    good: RepresentativeSet,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    turn: object,
    code: int,
    names: list[str],
) -> None:
    path = tmp_path / "foreign.npz"
    np.savez_compressed(path, labels=np.arange(18), images=turn(good.patches))  # type: ignore[operator]
    assert run(["lint", str(path), "--json", "-"]) == code
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["array"] == "images"
    assert [each["name"] for each in report["findings"]] == names
    assert "not checked: labels" in shown.err


def test_bare_arrays_and_chosen_ones(good: RepresentativeSet, tmp_path: Path) -> None:
    np.save(tmp_path / "bare.npy", good.patches)
    np.testing.assert_array_equal(read_array(tmp_path / "bare.npy").array, good.patches)
    np.savez(tmp_path / "two.npz", a=good.patches, b=good.patches[:2])
    assert read_array(tmp_path / "two.npz").key == "a"
    assert len(read_array(tmp_path / "two.npz", "b").array) == 2


def _claims_much(path: Path) -> None:
    """Some kilobytes that claim to unpack to 4 GiB of zeros."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (5 << 30,)})
    block = bytes(1 << 20)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(8):
            member.write(block)
    content = bytearray(path.read_bytes())
    # The directory's claim, which is what a reader believes.
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (0xFFFFFFFE).to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda _: None, 2, "does not exist"),
        (lambda path: path.write_bytes(b""), 1, "damaged"),
        (lambda path: path.write_text("no set"), 1, "damaged"),
        (lambda path: path.write_bytes(b"PK\x03\x04 cut short"), 1, "damaged"),
        (lambda path: np.savez(path, a=np.array([{}], object)), 1, "Python objects"),
        (lambda path: np.savez(path, a=np.arange(5)), 1, r"shape \(5,\)"),
        (lambda path: np.savez(path, a=np.array(["text"])), 1, "must be numbers"),
        (lambda path: np.savez(path), 1, "which holds none|damaged"),
    ],
)
def test_bad_files_get_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object, code: int, said: str
) -> None:
    path = tmp_path / "bad.npz"
    spoil(path)  # type: ignore[operator]
    assert run(["lint", str(path)]) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("quietcam: ")
    assert "Remedy" in line
    assert re.search(said, line)


def test_a_file_that_claims_more_than_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    _claims_much(path)
    with pytest.raises(DataError, match=r"fit into memory.*4 GiB"):
        read_array(path)


def test_usage_of_lint(good: RepresentativeSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "rep.npz", good)
    assert run(["lint", str(path), "--key", "absent"]) == 2
    assert "choose from patches" in capsys.readouterr().err
    assert run(["lint", str(path), "--key", "patches", "--data", "x"]) == 2
    np.savez(tmp_path / "foreign.npz", patches=good.patches)
    assert run(["lint", str(tmp_path / "foreign.npz"), "--data", "x"]) == 1
    assert "quietcam calibrate" in capsys.readouterr().err


def test_a_picture_is_no_set_and_the_line_says_what_makes_one(tmp_path):
    (tmp_path / "a.dat").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    with pytest.raises(
        DataError, match=r"a\.dat, a picture\. Remedy: write a set of pictures with `quietcam calibrate"
    ):
        read_array(tmp_path / "a.dat")
