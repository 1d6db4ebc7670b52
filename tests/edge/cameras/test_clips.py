"""Folders of pictures that are clips: which ones are, and which cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.cameras import open_camera
from quietcam.data.pictures.files import write_picture
from quietcam.errors import DataError, UsageError


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    """Pictures of these heights and widths, in this order; each shows its number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (height, width) in enumerate(sizes, 1):
        write_picture(folder / f"{number}.png", np.full((height, width, 3), number, np.uint8))
    return folder


def test_pictures_are_independent_unless_somebody_says_that_they_are_a_clip(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", *[(16, 16)] * 12)
    assert open_camera(folder).still
    with open_camera(folder, clip=True) as camera:
        assert not camera.still
        assert not camera.live
        frames = list(camera)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == list(range(1, 13)), "numbers count by value"
    assert [frame.timestamp for frame in frames] == pytest.approx(np.arange(12) / 25)


@pytest.mark.parametrize("place", ["", "noisy"])
def test_a_folder_with_clip_json_is_one_and_plays_its_noisy_side(tmp_path: Path, place: str) -> None:
    pictures(tmp_path / "noisy", (16, 16), (16, 16))
    pictures(tmp_path / "clean", (16, 16), (16, 16), (16, 16))
    (tmp_path / "clip.json").write_text("{}")
    with open_camera(tmp_path / place) as camera:
        assert not camera.still
        assert len(list(camera)) == 2


def test_a_marked_folder_without_sides_is_a_clip(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", (16, 16), (16, 16))
    (folder / "clip.json").write_text("{}")
    assert not open_camera(folder).still


def test_a_clip_of_one_frame_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", (16, 16))
    with pytest.raises(DataError, match=r"at least 2 frames. Received: .*a with 1. Remedy: leave out `clip`.$"):
        open_camera(folder, clip=True)
    (folder / "clip.json").write_text("{}")
    with pytest.raises(DataError, match=r"at least 2 frames. .* Remedy: remove its clip.json.$"):
        open_camera(folder)


def test_frames_of_different_sizes_end_a_clip_in_one_line_and_not_a_folder(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", (16, 24), (16, 24), (24, 16))
    assert len(list(open_camera(folder))) == 3
    with pytest.raises(
        DataError, match=r"have one size. Received: .*: 3.png of 16x24x3 after 24x16x3. Remedy:"
    ) as error:
        list(open_camera(folder, clip=True))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", [None, "synthetic", "picamera2", "0", "/dev/video0", "http://127.0.0.1:1/a.mjpg"])
def test_what_is_no_file_is_no_clip(source: str | None) -> None:
    with pytest.raises(UsageError, match=r"A clip is a folder of pictures, or a video. Received: .* leave out `clip`"):
        open_camera(source, clip=True)


def test_one_picture_is_no_clip(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", (16, 16))
    with pytest.raises(UsageError, match=r"A clip is a folder of pictures, or a video. Received: .*1.png"):
        open_camera(folder / "1.png", clip=True)
