from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.errors import DataError, UsageError
from quietcam.representative.array_file import read_array
from quietcam.representative.set import RepresentativeSet, load_set, patch_sha256, save_set


def make_set(count: int = 5, height: int = 8, width: int = 8, channels: int = 3, seed: int = 0) -> RepresentativeSet:
    patches = np.random.default_rng(seed).integers(1, 255, (count, height, width, channels), np.uint8)
    return RepresentativeSet(
        patches=patches,
        source=tuple(f"picture {i}" for i in range(count)),
        instance=("0001_001_S6_00100_00060_3200_L",) * count,
        box=np.tile(np.array([2, 3, 2 + width, 3 + height], np.int32), (count, 1)),
        sha256=tuple(hashlib.sha256(patch.tobytes()).hexdigest() for patch in patches),
        origin={"seed": 3, "data": "pictures"},
    )


def with_history(given: RepresentativeSet, seed: int = 9) -> RepresentativeSet:
    history = np.random.default_rng(seed).integers(1, 255, given.patches.shape, np.uint8)
    return replace(
        given, history=history, history_sha256=tuple(hashlib.sha256(h.tobytes()).hexdigest() for h in history)
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_set_comes_back_as_it_was_written(tmp_path: Path, channels: int) -> None:
    written = make_set(channels=channels)
    save_set(tmp_path / "rep.npz", written)
    read = load_set(tmp_path / "rep.npz")
    np.testing.assert_array_equal(read.patches, written.patches)
    np.testing.assert_array_equal(read.box, written.box)
    assert (read.source, read.instance, read.sha256) == (written.source, written.instance, written.sha256)
    assert read.origin == {"seed": 3, "data": "pictures"}
    assert read.digest == written.digest != make_set(channels=channels, seed=1).digest


def test_history_comes_back_and_is_part_of_the_digest(tmp_path: Path) -> None:
    written = with_history(make_set())
    save_set(tmp_path / "rep.npz", written)
    read = load_set(tmp_path / "rep.npz")
    assert read.history is not None
    assert written.history is not None
    np.testing.assert_array_equal(read.history, written.history)
    assert read.history_sha256 == written.history_sha256
    joined = "".join(written.sha256) + "".join(written.history_sha256)
    assert read.digest == hashlib.sha256(joined.encode()).hexdigest()
    assert len({written.digest, make_set().digest, with_history(make_set(), seed=8).digest}) == 3


def test_a_set_of_stills_has_no_history_in_its_file_and_the_digest_of_its_patches(tmp_path: Path) -> None:
    save_set(tmp_path / "rep.npz", make_set())
    with np.load(tmp_path / "rep.npz") as stored:
        assert set(stored.files) == {"patches", "source", "instance", "box", "sha256", "origin"}
    read = load_set(tmp_path / "rep.npz")
    assert read.history is None
    assert read.digest == hashlib.sha256("".join(make_set().sha256).encode()).hexdigest()


@pytest.mark.parametrize("size", [(8, 12), (4, 4), (8, 8), (20, 9)])
def test_pairs_lay_out_history_as_frames_lay_out_patches(size: tuple[int, int]) -> None:
    given_set = with_history(make_set())
    assert given_set.history is not None
    as_patches = replace(given_set, patches=given_set.history, sha256=given_set.history_sha256)
    pairs = list(given_set.pairs(*size))
    assert len(pairs) == len(list(given_set.frames(*size)))
    for (noisy, history), frame, remembered in zip(
        pairs, given_set.frames(*size), as_patches.frames(*size), strict=True
    ):
        np.testing.assert_array_equal(noisy, frame)
        np.testing.assert_array_equal(history, remembered)


def test_without_history_each_frame_is_its_own() -> None:
    for (noisy, history), frame in zip(make_set().pairs(8, 8), make_set().frames(8, 8), strict=True):
        np.testing.assert_array_equal(noisy, frame)
        np.testing.assert_array_equal(history, frame)


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_set(tmp_path / name, make_set())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@given(
    height=st.integers(1, 30),
    width=st.integers(2, 30),
    patch_height=st.integers(1, 12),
    patch_width=st.integers(1, 12),
    count=st.integers(1, 7),
)
def test_frames_have_the_asked_size_and_hold_every_whole_patch(
    height: int, width: int, patch_height: int, patch_width: int, count: int
) -> None:
    given_set = make_set(count, patch_height, patch_width)
    # Patches of one value each, so that a patch can be recognized wherever it went.
    patches = np.empty_like(given_set.patches)
    for index in range(count):
        patches[index] = 10 + index
    marked = replace(given_set, patches=patches, sha256=tuple(patch_sha256(patch) for patch in patches))
    frames = list(marked.frames(height, width))
    seen = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    assert all(frame.shape == (height, width, 3) and frame.dtype == np.uint8 for frame in frames)
    assert set(np.unique(seen)) <= {0, 255, *range(10, 10 + count)}
    if height * width * len(frames) > 2:
        assert {0, 255} <= set(np.unique(frames[0]))
    whole = height % patch_height == 0 and width % patch_width == 0
    if whole and patch_height * patch_width > 2:
        assert set(range(10, 10 + count)) <= set(np.unique(seen))


def test_a_frame_is_a_mosaic_of_patches_in_their_order() -> None:
    given_set = make_set(count=5, height=4, width=6)
    first, second = given_set.frames(8, 12)
    p = given_set.patches
    np.testing.assert_array_equal(first[:4, 6:], p[1])
    np.testing.assert_array_equal(first[4:, :6], p[2])
    np.testing.assert_array_equal(first[4:, 6:], p[3])
    np.testing.assert_array_equal(second[:4, :6], p[4])
    np.testing.assert_array_equal(second[:4, 6:], p[0])  # starts over


def test_larger_patches_are_cut() -> None:
    given_set = make_set(count=1, height=8, width=9)
    frames = list(given_set.frames(4, 4))
    assert len(frames) == 4
    np.testing.assert_array_equal(frames[3], given_set.patches[0, 4:8, 4:8])


def test_black_and_white_are_planted_once_and_the_set_stays_as_it_is() -> None:
    given_set = make_set()
    before = given_set.patches.copy()
    frames = list(given_set.frames(8, 8))
    assert frames[0][0, 0].tolist() == [0, 0, 0]
    assert frames[0][0, 1].tolist() == [255, 255, 255]
    assert all(0 < frame.min() <= frame.max() < 255 for frame in frames[1:])
    np.testing.assert_array_equal(given_set.patches, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patches": np.zeros((5, 8, 8, 3), np.float32)}, "uint8 pixels"),
        ({"patches": np.zeros((5, 8, 8), np.uint8)}, "of shape"),
        ({"patches": np.zeros((5, 8, 8, 4), np.uint8)}, "of shape"),
        ({"patches": np.zeros((0, 8, 8, 3), np.uint8)}, "of shape"),
        ({"source": ("one",)}, "1 sources"),
        ({"box": np.zeros((5, 3), np.int32)}, "boxes of shape"),
        ({"sha256": ("0" * 64,) * 5}, "5 that do not"),
        ({"history": np.zeros((5, 8, 4, 3), np.uint8), "history_sha256": ("0" * 64,) * 5}, r"shape=\(5, 8, 4, 3\)"),
        ({"history": np.zeros((5, 8, 8, 3), np.float32), "history_sha256": ("0" * 64,) * 5}, "float32"),
        ({"history": np.zeros((5, 8, 8, 3), np.uint8)}, "0 for 5"),
        ({"history_sha256": ("0" * 64,) * 5}, "Received: none"),
        ({"history": np.zeros((5, 8, 8, 3), np.uint8), "history_sha256": ("0" * 64,) * 5}, "Every history .* 5 that"),
    ],
)
def test_fields_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(make_set(), **change)  # type: ignore[arg-type]


def _truncated(path: Path) -> None:
    save_set(path, make_set())
    path.write_bytes(path.read_bytes()[:700])


def _flipped(path: Path) -> None:
    save_set(path, make_set())
    content = bytearray(path.read_bytes())
    content[content.index(make_set().patches.tobytes()) + 10] ^= 1
    path.write_bytes(content)


def _flipped_history(path: Path) -> None:
    made = with_history(make_set())
    save_set(path, made)
    assert made.history is not None
    content = bytearray(path.read_bytes())
    content[content.index(made.history.tobytes()) + 10] ^= 1
    path.write_bytes(content)


def _of_objects(path: Path) -> None:
    np.savez(path, patches=np.array([{}], object))


def _foreign(path: Path) -> None:
    np.savez(path, images=np.zeros((2, 4, 4, 3), np.uint8))


def _text(path: Path) -> None:
    path.write_text("not a set")


def _a_zip_of_something(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def _a_bare_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _strange_origin(path: Path) -> None:
    save_set(path, replace(make_set(), origin=[1]))  # type: ignore[arg-type]


def _numbers_for_names(path: Path) -> None:
    made = make_set()
    np.savez(path, patches=made.patches, source=np.float64(3), instance=np.zeros(5), box=made.box, sha256=np.zeros(5))


@pytest.mark.parametrize(
    "spoil",
    [
        _truncated,
        _flipped,
        _flipped_history,
        _of_objects,
        _foreign,
        _text,
        _a_zip_of_something,
        _a_bare_array,
        _strange_origin,
        _numbers_for_names,
    ],
)
def test_a_file_that_is_not_a_set_is_refused_with_a_remedy(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "rep.npz"
    spoil(path)  # type: ignore[operator]
    with pytest.raises(DataError, match=r"(?s)rep\.npz.*Remedy"):
        load_set(path)


@pytest.mark.parametrize("reader", [load_set, read_array])
def test_a_folder_is_not_called_missing(reader: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"Received: {tmp_path}, a folder"):
        reader(tmp_path)
    with pytest.raises(UsageError, match=f"Remedy: quietcam calibrate --data {tmp_path}"):
        read_array(tmp_path)


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_set(tmp_path / "rep.npz")


def test_a_file_that_unpacks_to_far_more_than_it_takes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, patches=np.zeros((400, 256, 256, 3), np.uint8))
    for read in (load_set, read_array):
        with pytest.raises(DataError, match="unpack"):
            read(path)


def test_a_bare_array_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    with path.open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00")
        file.truncate((2 << 30) + 1)  # a hole: it takes no disk
    with pytest.raises(DataError, match="fit into memory"):
        read_array(path)
