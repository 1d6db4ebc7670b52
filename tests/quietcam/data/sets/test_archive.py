"""Zip archives: the same pictures as in the folder, and nothing that is made to harm."""

import contextlib
import io
import pickle
import stat
import struct
import tracemalloc
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.data.sets import archive as module
from quietcam.data.sets.archive import is_archive, list_members
from quietcam.data.sets.pairs import find_pairs, list_data
from quietcam.errors import DataError, UsageError

FIRST = "0001_001_S6_00100_00060_3200_L"
SECOND = "0090_004_IP_01600_00750_5500_N"


def png(image):
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


@pytest.fixture
def pack(tmp_path):
    """``pack({name: content, …})``: a zip of these members; a ZipInfo may stand for a name."""

    def make(members, name="set.zip", method=zipfile.ZIP_DEFLATED):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", method) as file:
            for member, content in members.items():
                file.writestr(member, content, method)
        return path

    return make


@pytest.fixture
def kaggle(pack, picture):
    """SIDD-Small as Kaggle packs it: two instances, and what else lies there."""
    top = "SIDD_Small_sRGB_Only/SIDD_Small_sRGB_Only"
    members = {f"{top}/Scene_Instances.txt": b"one\ntwo\n", f"__MACOSX/{top}/Data/{FIRST}/._GT_SRGB_010.PNG": b"x"}
    for index, instance in enumerate((FIRST, SECOND)):
        members[f"{top}/Data/{instance}/NOISY_SRGB_010.PNG"] = png(picture(seed=10 + index))
        members[f"{top}/Data/{instance}/GT_SRGB_010.PNG"] = png(picture(seed=20 + index))
    return pack(members)


def test_kaggle_s_archive_is_read_in_place(kaggle, picture, tmp_path):
    before = set(tmp_path.rglob("*"))
    found = find_pairs(kaggle)
    assert [pair.name for pair in found] == [f"{FIRST}_010", f"{SECOND}_010"]
    assert [pair.scene for pair in found] == ["001", "004"]
    assert found.problems == []
    for index, pair in enumerate(found):
        noisy, clean = pair.read()
        np.testing.assert_array_equal(noisy, picture(seed=10 + index))
        np.testing.assert_array_equal(clean, picture(seed=20 + index))
    assert set(tmp_path.rglob("*")) == before


def test_the_same_pairs_as_when_it_is_unpacked(kaggle, tmp_path):
    with zipfile.ZipFile(kaggle) as file:
        file.extractall(tmp_path / "unpacked")
    inside, outside = find_pairs(kaggle), find_pairs(tmp_path / "unpacked")
    assert [(pair.name, pair.instance) for pair in inside] == [(pair.name, pair.instance) for pair in outside]
    for a, b in zip(inside, outside, strict=True):
        for first, second in zip(a.read(), b.read(), strict=True):
            np.testing.assert_array_equal(first, second)


def test_noisy_and_clean_folders_in_an_archive(pack, picture):
    path = pack({"set/noisy/a.png": png(picture()), "set/clean/a.png": png(picture()), "set/noisy/b.png": b""})
    found = find_pairs(path)
    assert [pair.name for pair in found] == ["set/a"]
    assert found.problems == ["set/noisy/b.png: no clean twin"]


def test_an_archive_by_another_name(kaggle, tmp_path):
    other = kaggle.rename(tmp_path / "archive")
    assert is_archive(other)
    assert len(find_pairs(other)) == 2
    assert not is_archive(tmp_path)


def test_members_can_be_carried_to_workers(kaggle):
    pair = pickle.loads(pickle.dumps(find_pairs(kaggle)[0]))
    assert pair == find_pairs(kaggle)[0]
    assert pair.read()[0].shape == (24, 32, 3)
    assert str(pair.noisy).endswith(
        f"set.zip/SIDD_Small_sRGB_Only/SIDD_Small_sRGB_Only/Data/{FIRST}/NOISY_SRGB_010.PNG"
    )
    assert pair.noisy.name == "NOISY_SRGB_010.PNG"


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "noisy/../../a.png",
        "/etc/a.png",
        "C:/a.png",
        "C:\\a.png",
        "..\\a.png",
        "noisy\\..\\a.png",
        "\\a.png",
    ],
)
def test_paths_that_climb_out(pack, name):
    with pytest.raises(DataError, match=r"points outside of it.*Remedy") as caught:
        find_pairs(pack({name: b"x"}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "said"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is not a plain file")])
def test_links_and_other_special_files(pack, kind, said):
    link = zipfile.ZipInfo("noisy/a.png")
    link.create_system = 3
    link.external_attr = (kind | 0o777) << 16
    with pytest.raises(DataError, match=said):
        find_pairs(pack({link: "/etc/passwd"}))


def test_a_member_that_grows_too_much(pack):
    with pytest.raises(DataError, match=r"'noisy/a.bmp' would grow \d+ times; 200 allowed"):
        find_pairs(pack({"noisy/a.bmp": bytes(20_000_000)}))


def test_many_small_members_that_grow_too_much(pack):
    members = {f"noisy/{n}.bmp": bytes(1_000_000) for n in range(20)}
    with pytest.raises(DataError, match=r"it would grow \d+ times"):
        find_pairs(pack(members))


def test_honest_pictures_that_shrink_are_read(pack):
    black = np.zeros((64, 64, 3), np.uint8)
    coded = cv2.imencode(".bmp", black)[1].tobytes()
    assert len(find_pairs(pack({"noisy/a.bmp": coded, "clean/a.bmp": coded}))) == 1


def test_too_many_members_or_bytes(pack, monkeypatch):
    path = pack({f"noisy/{n}.png": b"x" for n in range(6)})
    monkeypatch.setattr(module, "MOST_MEMBERS", 5)
    with pytest.raises(DataError, match="6 members; 5 allowed"):
        find_pairs(path)
    monkeypatch.setattr(module, "MOST_MEMBERS", 6)
    monkeypatch.setattr(module, "MOST_TOTAL", 5)
    with pytest.raises(DataError, match="would unpack to"):
        find_pairs(path)


def test_a_picture_too_large_for_memory(pack, picture, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PICTURE", 100)
    with pytest.raises(DataError, match=r"'noisy/a.png' would take"):
        find_pairs(pack({"noisy/a.png": png(picture())}))


def test_a_list_of_members_that_would_fill_memory(pack, monkeypatch):
    path = pack({f"noisy/{n}.png": b"x" for n in range(100)})
    monkeypatch.setattr(module, "_MOST_DIRECTORY", 1000)
    with pytest.raises(DataError, match="its list of members takes"):
        find_pairs(path)


def test_a_member_that_is_longer_than_it_says(pack, picture):
    # The list of members says 50 bytes; unpacking would give ten million. Nothing near that may be held.
    path = pack({"noisy/a.bmp": bytes(10_000_000), "clean/a.png": png(picture())})
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = content.index(signature)
        content[start + at : start + at + 4] = struct.pack("<I", 50)
    path.write_bytes(content)
    (pair,) = find_pairs(path)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"set.zip/noisy/a.bmp"):
            pair.read()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_members_on_one_another(pack):
    # Every entry of the list points at one packed file, so the list claims more than the archive holds.
    content = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8).tobytes()
    path = pack({"noisy/a.png": content})
    packed = path.read_bytes()
    start = packed.index(b"PK\x01\x02")
    end = packed.index(b"PK\x05\x06")
    entry = packed[start:end]
    entries = b"".join(entry.replace(b"noisy/a.png", f"noisy/{n}.png".encode()) for n in range(10))
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 10, 10, len(entries), start, 0)
    path.write_bytes(packed[:start] + entries + tail)
    with pytest.raises(DataError, match="its members overlap"):
        find_pairs(path)


def test_a_name_that_stands_twice(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("noisy/a.png", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("noisy/a.png", b"y")
    with pytest.raises(DataError, match=r"name 'noisy/a.png' is in it twice"):
        find_pairs(path)


def test_encrypted_members(pack):
    path = pack({"noisy/a.png": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        find_pairs(path)


def test_a_packing_that_python_does_not_know(pack, picture):
    path = pack({"noisy/a.png": png(picture()), "clean/a.png": png(picture())})
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        start = content.index(signature)
        content[start + at : start + at + 2] = struct.pack("<H", 9)  # "Deflate64", which Windows uses
    path.write_bytes(content)
    with pytest.raises(DataError, match="unpack it and give the folder"):
        find_pairs(path)[0].read()


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_cut_anywhere_is_refused(tmp_path_factory, share):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for side in ("noisy", "clean"):
            file.writestr(f"{side}/a.png", png(np.zeros((20, 20, 3), np.uint8)))
    path = tmp_path_factory.mktemp("cut") / "a.zip"
    path.write_bytes(buffer.getvalue()[: int(share * len(buffer.getvalue()))])
    with pytest.raises(DataError, match="must be a whole zip file"):
        find_pairs(path)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_byte_is_an_error_of_ours_or_does_no_harm(tmp_path_factory, at, flip):
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for side in ("noisy", "clean"):
            file.writestr(f"{side}/a.png", png(image))
    content = bytearray(buffer.getvalue())
    content[at % len(content)] ^= flip
    path = tmp_path_factory.mktemp("flip") / "a.zip"
    path.write_bytes(content)
    with contextlib.suppress(DataError, UsageError):  # any other error fails
        for pair in find_pairs(path):
            for side in pair.read():
                np.testing.assert_array_equal(side, image)


def test_a_damaged_member_is_named(kaggle):
    content = bytearray(kaggle.read_bytes())
    content[content.index(b"IDAT") + 40] ^= 4
    kaggle.write_bytes(content)
    errors = []
    for pair in find_pairs(kaggle):
        try:
            pair.read()
        except DataError as error:
            errors.append(str(error))
    assert len(errors) == 1
    assert FIRST in errors[0]


def test_an_archive_that_changes_in_the_meantime(kaggle, pack, picture):
    pair = find_pairs(kaggle)[0]
    pack({"noisy/other.png": png(picture())})
    with pytest.raises(DataError, match="must be whole"):
        pair.read()
    assert list_data(kaggle).pairs == []


def test_blocks_in_an_archive_are_said(pack):
    listing = list_data(pack({"x/ValidationNoisyBlocksSrgb.mat": b"x"}))
    assert [problem.name for problem in listing.problems] == ["x/ValidationNoisyBlocksSrgb.mat"]
    assert "unpack it" in listing.problems[0].detail


def test_no_archive(tmp_path):
    with pytest.raises(UsageError, match="must be a file that exists"):
        list_members(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(DataError, match=r"whole zip file.*text.zip"):
        find_pairs(tmp_path / "text.zip")


@pytest.mark.usefixtures("kaggle")
def test_a_folder_with_an_archive_names_it(tmp_path):
    with pytest.raises(DataError, match=r"give the archive itself, .*set.zip"):
        find_pairs(tmp_path)


def test_names_in_utf8_that_nothing_tells_are_read_as_such(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("noisy/AAAA.png", b"x")
    archive.write_bytes(archive.read_bytes().replace(b"AAAA", "äö".encode()))
    (member,) = list_members(archive)
    assert member.path == "noisy/äö.png"
    assert member.read_bytes() == b"x"


def test_a_name_that_is_not_text_is_refused(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("noisy/ä.png", b"x")
    archive.write_bytes(archive.read_bytes().replace("ä".encode(), b"\xff\xfe"))
    with pytest.raises(DataError, match="a name in it is not text"):
        list_members(archive)
