"""SIDD's blocks in MATLAB files, of both formats."""

import pickle
import sys

import numpy as np
import pytest

pytest.importorskip("h5py", reason="needs the extra 'train'")
pytest.importorskip("scipy", reason="needs the extra 'train'")

import h5py
import scipy.io

from quietcam.data.sets.matfile import is_blocks_file
from quietcam.data.sets.pairs import find_pairs, list_data
from quietcam.data.sets.split import split_by_scene
from quietcam.errors import DataError, MissingExtraError, UsageError

NOISY, CLEAN, BENCHMARK = (f"{name}BlocksSrgb" for name in ("ValidationNoisy", "ValidationGt", "BenchmarkNoisy"))


def save_v5(path, variables):
    scipy.io.savemat(path, variables, do_compression=True)


def save_v73(path, variables):
    """As MATLAB 7.3 does: HDF5 behind 512 bytes of its own, axes in reverse order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in variables.items():
            stored = file.create_dataset(name, data=np.transpose(array), compression="gzip")
            stored.attrs["MATLAB_class"] = np.bytes_(array.dtype.name)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116))


def save_numpy_order(path, variables):
    with h5py.File(path, "w") as file:
        for name, array in variables.items():
            file[name] = array


FORMATS = {"v5": save_v5, "v7.3": save_v73}


@pytest.fixture
def blocks():
    """Different height, width, pictures and blocks, so that a swapped axis shows."""

    def make(seed=0, pictures=4, count=2, height=6, width=9):
        generator = np.random.default_rng(seed)
        return generator.integers(0, 256, (pictures, count, height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture(params=FORMATS)
def save_mat(request):
    return FORMATS[request.param]


@pytest.mark.parametrize("pictures", [3, 4])  # with 3 pictures, both ends of the axes have the length of colors
def test_every_block_and_its_twin(tmp_path, blocks, save_mat, pictures):
    noisy, clean = blocks(1, pictures), blocks(2, pictures)
    save_mat(tmp_path / f"{NOISY}.mat", {NOISY: noisy})
    save_mat(tmp_path / f"{CLEAN}.mat", {CLEAN: clean})
    found = find_pairs(tmp_path)
    assert found.problems == []
    assert [pair.name for pair in found] == [
        f"ValidationBlocks_{i:02d}_{j:02d}" for i in range(pictures) for j in (0, 1)
    ]
    for index, pair in enumerate(found):
        first, second = pair.read()
        np.testing.assert_array_equal(first, noisy[divmod(index, 2)])
        np.testing.assert_array_equal(second, clean[divmod(index, 2)])
        assert first.flags.c_contiguous
    for name in (NOISY, CLEAN):
        assert find_pairs(tmp_path / f"{name}.mat").pairs == found.pairs


def test_axes_as_python_writes_them(tmp_path, blocks):
    save_numpy_order(tmp_path / "both.mat", {NOISY: blocks(1), CLEAN: blocks(2)})
    found = find_pairs(tmp_path / "both.mat")
    assert len(found) == 8
    np.testing.assert_array_equal(found[5].read()[0], blocks(1)[2, 1])
    np.testing.assert_array_equal(found[5].read()[1], blocks(2)[2, 1])


def test_blocks_can_be_carried_to_workers(tmp_path, blocks, save_mat):
    save_mat(tmp_path / "both.mat", {NOISY: blocks(1), CLEAN: blocks(2)})
    pair = pickle.loads(pickle.dumps(find_pairs(tmp_path / "both.mat")[3]))
    np.testing.assert_array_equal(pair.read()[0], blocks(1)[1, 1])
    assert str(pair.noisy) == f"{tmp_path / 'both.mat'}[1, 1]"
    assert pair.noisy.name == f"{NOISY}[1, 1]"


def test_all_of_them_stay_on_one_side(tmp_path, blocks, save_mat):
    save_mat(tmp_path / "both.mat", {NOISY: blocks(1), CLEAN: blocks(2)})
    found = find_pairs(tmp_path / "both.mat")
    assert {pair.scene for pair in found} == {"SIDD validation"}
    with pytest.raises(DataError, match=r"Received: 1 \(SIDD validation\)"):
        split_by_scene(found)


def test_the_benchmark_has_no_clean_side(tmp_path, blocks, save_mat):
    save_mat(tmp_path / f"{BENCHMARK}.mat", {BENCHMARK: blocks()})
    listing = list_data(tmp_path)
    assert listing.pairs == listing.problems == []
    assert [name for name, _ in listing.noisy_only][:3] == [f"BenchmarkBlocks_{n}" for n in ("00_00", "00_01", "01_00")]
    np.testing.assert_array_equal(listing.noisy_only[7][1].read(), blocks()[3, 1])
    with pytest.raises(DataError, match="8 noisy pictures whose clean twins were never published"):
        find_pairs(tmp_path)


def test_one_side_of_the_validation_blocks(tmp_path, blocks, save_mat):
    save_mat(tmp_path / f"{NOISY}.mat", {NOISY: blocks()})
    with pytest.raises(DataError, match=f"{NOISY}.mat: no clean twin"):
        find_pairs(tmp_path)
    (tmp_path / f"{NOISY}.mat").unlink()
    save_mat(tmp_path / f"{CLEAN}.mat", {CLEAN: blocks()})
    with pytest.raises(DataError, match=f"{CLEAN}.mat: no noisy twin"):
        find_pairs(tmp_path / f"{CLEAN}.mat")


def test_sides_that_differ(tmp_path, blocks, save_mat):
    save_mat(tmp_path / "both.mat", {NOISY: blocks(1), CLEAN: blocks(2, width=8)})
    (problem,) = list_data(tmp_path / "both.mat").problems
    assert problem.kind == "size"
    assert "(4, 2, 6, 9, 3)" in problem.detail
    assert "(4, 2, 6, 8, 3)" in problem.detail


def test_blocks_beside_pictures(blocks, dataset, save_mat):
    root = dataset({"a": 1, "b": 2})
    (root / "deep").mkdir()
    save_mat(root / "deep" / f"{NOISY}.mat", {NOISY: blocks(1)})
    save_mat(root / "deep" / f"{CLEAN}.mat", {CLEAN: blocks(2)})
    (root / "NOISY_RAW_010.MAT").write_bytes(b"raw frames are none of ours")
    found = find_pairs(root)
    assert [pair.name for pair in found] == [
        "a",
        "b",
        *sorted(f"deep/ValidationBlocks_{i:02d}_{j:02d}" for i in range(4) for j in (0, 1)),
    ]
    assert found.problems == []


def test_other_variables_are_named(tmp_path, blocks, save_mat):
    save_mat(tmp_path / "other.mat", {"patches": blocks(), "sigma": np.ones((2, 3))})
    with pytest.raises(DataError, match=r"patches \(4x2x6x9x3 uint8\), sigma \(2x3 \w+\).*Remedy") as caught:
        find_pairs(tmp_path / "other.mat")
    assert f"must hold {NOISY}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_variables_in_a_file_of_the_right_name(blocks, save_mat, dataset):
    root = dataset({"a": 1})
    save_mat(root / f"{NOISY}.mat", {"patches": blocks()})
    found = find_pairs(root)
    assert [pair.name for pair in found] == ["a"]
    assert len(found.problems) == 1
    assert "patches (4x2x6x9x3 uint8)" in found.problems[0]


def test_no_variables(tmp_path, save_mat):
    save_mat(tmp_path / "none.mat", {})
    with pytest.raises(DataError, match="with no variables"):
        find_pairs(tmp_path / "none.mat")


@pytest.mark.parametrize("shape", [(4, 2, 6, 9), (4, 2, 6, 9, 4)])
def test_other_shapes(tmp_path, save_mat, shape):
    save_mat(tmp_path / "a.mat", {NOISY: np.zeros(shape, np.uint8)})
    with pytest.raises(DataError, match=f"{NOISY} is uint8 "):
        find_pairs(tmp_path / "a.mat")


def test_other_kinds(tmp_path, save_mat):
    save_mat(tmp_path / "a.mat", {NOISY: np.zeros((4, 2, 6, 9, 3), np.float32)})
    with pytest.raises(DataError, match=f"{NOISY} is (single|float32)"):
        find_pairs(tmp_path / "a.mat")


def test_an_array_that_would_fill_memory_is_not_read(tmp_path, save_mat, monkeypatch):
    save_mat(tmp_path / "a.mat", {NOISY: np.zeros((4, 2, 6, 9, 3), np.uint8)})
    monkeypatch.setattr("quietcam.data.sets.matfile._MOST_BYTES", 1000)
    with pytest.raises(DataError, match="at most 1 GiB"):
        find_pairs(tmp_path / "a.mat")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.99])
def test_cut_files(tmp_path, blocks, save_mat, share):
    path = tmp_path / "a.mat"
    save_mat(path, {NOISY: blocks(1, 8, 8, 32, 32), CLEAN: blocks(2, 8, 8, 32, 32)})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="Remedy"):
        [pair.read() for pair in find_pairs(path)]


@pytest.mark.parametrize("content", [b"text", bytes(1000), b"\x89HDF\r\n\x1a\n" + bytes(1000)])
def test_no_matlab_files(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"whole MATLAB 5 or 7.3 file.*a.mat"):
        find_pairs(tmp_path / "a.mat")


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match="nothing there"):
        find_pairs(tmp_path / "none.mat")


@pytest.mark.parametrize(("package", "writer"), [("scipy", save_v5), ("h5py", save_v73)])
def test_missing_extra(tmp_path, blocks, monkeypatch, package, writer):
    writer(tmp_path / "a.mat", {NOISY: blocks()})
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"extra 'train' \(missing: {package}\)"):
        find_pairs(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (f"{NOISY}.mat", True),
        (f"{BENCHMARK}.mat", True),
        (f"{CLEAN}.MAT".lower(), True),
        ("NOISY_RAW_010.MAT", False),
        ("0001_METADATA_RAW_010.MAT", False),
        ("ValidationNoisyBlocksRaw.mat", False),
    ],
)
def test_names(tmp_path, name, is_one):
    assert is_blocks_file(tmp_path / name) is is_one


@pytest.mark.parametrize("format_", [*FORMATS.values(), save_numpy_order], ids=[*FORMATS, "python"])
def test_pictures_of_siddplus(tmp_path, blocks, format_):
    noisy, clean = blocks(1, 5, 1)[:, 0], blocks(2, 5, 1)[:, 0]
    format_(tmp_path / "siddplus_valid_noisy_srgb.mat", {"siddplus_valid_noisy_srgb": noisy})
    format_(tmp_path / "siddplus_valid_gt_srgb.mat", {"siddplus_valid_gt_srgb": clean})
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == [f"siddplus_valid_srgb_{number:04d}" for number in range(5)]
    assert len({pair.scene for pair in found}) == 1
    for number, pair in enumerate(found):
        first, second = pair.read()
        np.testing.assert_array_equal(first, noisy[number])
        np.testing.assert_array_equal(second, clean[number])
    for name in ("noisy", "gt"):
        assert find_pairs(tmp_path / f"siddplus_valid_{name}_srgb.mat").pairs == found.pairs


@pytest.mark.parametrize("how", ["soft", "external", "outside", "virtual", "chunk"])
def test_pixels_that_lie_elsewhere_or_unpack_to_more_than_memory_are_refused(tmp_path, how):
    name = "ValidationNoisyBlocksSrgb"
    path, other = tmp_path / f"{name}.mat", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.zeros((2, 2, 8, 8, 3), np.uint8)
    with h5py.File(path, "w") as file:
        if how == "soft":
            file["y"] = np.zeros((2, 2, 8, 8, 3), np.uint8)
            file[name] = h5py.SoftLink("/y")
        elif how == "external":
            file[name] = h5py.ExternalLink(str(other), "x")
        elif how == "outside":
            file.create_dataset(name, (2, 2, 8, 8, 3), np.uint8, external=[(str(other), 0, 768)])
        elif how == "virtual":
            layout = h5py.VirtualLayout((2, 2, 8, 8, 3), np.uint8)
            layout[:] = h5py.VirtualSource(str(other), "x", (2, 2, 8, 8, 3))
            file.create_virtual_dataset(name, layout)
        else:
            shape = (1, 1, 1 << 15, 1 << 15, 3)
            file.create_dataset(name, shape, np.uint8, maxshape=shape, chunks=shape, compression="gzip")
    with pytest.raises(DataError, match=r"is a link|another file|too large|at most 1 GiB"):
        list_data(path)
