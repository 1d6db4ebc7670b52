"""Noisy frames of clips, with and without clean twins."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from quietcam.data.clips.noisy import find_noisy_clips
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.noisy_pictures import find_noisy
from quietcam.errors import DataError, UsageError


def write(folder: Path, names: list[str], mark: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if mark:
        (folder / "clip.json").write_text("{}")
    for number, name in enumerate(names):
        write_picture(folder / f"{name}.png", np.full((8, 8, 3), number, np.uint8))


def pairs(folder: Path, count: int = 3) -> None:
    (folder).mkdir(parents=True)
    (folder / "clip.json").write_text("{}")
    for side in ("noisy", "clean"):
        write(folder / side, [f"{number:04d}" for number in range(count)], mark=False)


def test_clips_without_clean_twins_are_found_beside_their_mark_and_in_noisy(tmp_path: Path) -> None:
    write(tmp_path / "a", ["frame_2", "frame_10", "frame_3"] + [f"frame_{number}" for number in range(4, 10)])
    write(tmp_path / "b", [])
    write(tmp_path / "b" / "noisy", ["0000", "0001"], mark=False)
    a, b = find_noisy_clips(tmp_path)
    assert [frame.name for frame in a.frames] == [f"a/frame_{number}" for number in range(2, 11)]
    assert (b.name, [frame.name for frame in b.frames]) == ("b", ["b/0000", "b/0001"])
    assert {frame.scene for frame in a.frames} == {"a"}
    names = {picture.name for picture in find_noisy(tmp_path).pictures}
    assert names == {frame.name for clip in (a, b) for frame in clip.frames}


def test_a_clip_may_be_the_data_set_itself(tmp_path: Path) -> None:
    write(tmp_path, ["frame_000000", "frame_000001"])
    (clip,) = find_noisy_clips(tmp_path)
    assert (clip.name, [frame.name for frame in clip.frames]) == ("", ["frame_000000", "frame_000001"])
    assert [picture.name for picture in find_noisy(tmp_path).pictures] == ["frame_000000", "frame_000001"]


def test_the_noisy_sides_of_pairs(tmp_path: Path) -> None:
    pairs(tmp_path / "set" / "x")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "set"))
    for data in (tmp_path / "set", tmp_path / "set.zip"):
        (clip,) = find_noisy_clips(data)
        assert len(clip) == 3
        assert {frame.name for frame in clip.frames} == {picture.name for picture in find_noisy(data).pictures}
        assert all(frame.clean is not None for frame in clip.frames)


def test_stills_are_no_clips(tmp_path: Path) -> None:
    write(tmp_path, ["0000", "0001"], mark=False)
    assert find_noisy_clips(tmp_path) == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["0000"], "two frames or more, and this one has 1"),
        (["0000", "0002"], "without a gap, and 1 is not"),
        (["0000", "x"], "must end in a number"),
        (["0_1", "1_1"], "without a gap, and 2 is not"),
    ],
)
def test_what_is_wrong_with_a_clip_is_said(tmp_path: Path, names: list[str], said: str) -> None:
    write(tmp_path / "clip", names)
    with pytest.raises(DataError, match=said):
        find_noisy_clips(tmp_path)
    write(tmp_path / "good", ["0000", "0001"])
    assert [clip.name for clip in find_noisy_clips(tmp_path)] == ["good"]


def test_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_noisy_clips(tmp_path / "absent")
    write(tmp_path, ["0000", "0001"])
    with pytest.raises(UsageError, match="leave `split` out"):
        find_noisy_clips(tmp_path, "train")


def test_of_several_captures_the_one_that_was_denoised_counts(tmp_path: Path) -> None:
    for name, denoised in (("a", False), ("b", True), ("c", None)):
        write(tmp_path / name, ["0000", "0001"])
        told = {"source": name, "isp_denoise": denoised, "quietcam": "1"}
        (tmp_path / name / "capture.json").write_text(json.dumps(told))
    capture = find_noisy(tmp_path).capture
    assert capture is not None
    assert capture["source"] == "b"
