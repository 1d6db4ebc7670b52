"""Noisy pictures, with clean twins or without."""

import numpy as np
import pytest

from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.noisy_pictures import find_noisy
from quietcam.errors import DataError, UsageError

INSTANCE = "0001_001_S6_00100_00060_3200_L"


@pytest.fixture
def put(tmp_path):
    """``put("noisy/a")`` writes a picture below the test's folder."""

    def write(*names):
        for level, name in enumerate(names):
            write_picture(tmp_path / f"{name}.png", np.full((8, 8, 3), level, np.uint8))
        return tmp_path

    return write


def named(found):
    return [picture.name for picture in found.pictures]


def test_of_pairs_the_noisy_sides_are_taken(put, caplog):
    found = find_noisy(put("noisy/a", "clean/a", f"noisy/{INSTANCE}", f"clean/{INSTANCE}", "noisy/alone"))
    assert named(found) == [INSTANCE, "a"]
    assert all(picture.place.parent.name == "noisy" for picture in found.pictures)
    assert all(picture.clean.parent.name == "clean" for picture in found.pictures)
    assert [picture.scene for picture in found.pictures] == ["001", "a"]
    assert found.pictures[0].instance.iso == 100
    assert "alone" in caplog.text


@pytest.mark.parametrize("below", ["", "noisy/"])
def test_pictures_without_twins(put, below):
    found = find_noisy(put(f"{below}b", f"{below}a", f"{below}{INSTANCE}"))
    assert named(found) == [INSTANCE, "a", "b"]
    assert all(picture.clean is None for picture in found.pictures)
    assert found.pictures[0].scene == "001"
    assert found.capture is None


def test_the_noisy_folder_itself(put):
    assert named(find_noisy(put("noisy/a", "clean/a") / "noisy")) == ["a"]


def test_two_files_of_one_stem_keep_apart(put, tmp_path):
    put("a")
    write_picture(tmp_path / "a.jpg", np.zeros((8, 8, 3), np.uint8))
    assert named(find_noisy(tmp_path)) == ["a.jpg", "a.png"]


def test_sides_are_of_pairs_only(put):
    folder = put(
        *(f"{side}/{number:04d}_{number:03d}{INSTANCE[8:]}" for side in ("noisy", "clean") for number in range(9))
    )
    assert 0 < len(find_noisy(folder, "test").pictures) < 9
    with pytest.raises(UsageError, match=r"Received: `split=test`, .* leave `split` out"):
        find_noisy(folder / "noisy", "test")


def test_the_clean_side_alone_is_refused(put):
    with pytest.raises(DataError, match="folder above"):
        find_noisy(put("clean/a") / "clean")


def test_what_a_capture_tells_is_kept(put):
    folder = put("frame_000000")
    (folder / "capture.json").write_text('{"source": "x", "isp_denoise": false, "quietcam": "0.1", "frames": 1}')
    assert find_noisy(folder).capture == {"source": "x", "isp_denoise": False, "quietcam": "0.1"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"source": "x"}'])
def test_a_strange_capture_file_is_refused_with_a_remedy(put, text):
    folder = put("frame_000000")
    (folder / "capture.json").write_text(text)
    with pytest.raises(DataError, match="pictures are enough"):
        find_noisy(folder)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="at least one"):
        find_noisy(tmp_path)
    with pytest.raises(UsageError, match="check the path"):
        find_noisy(tmp_path / "absent")
