"""Candidates from clips: how many frames came before each, and how much of it moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.clips import STRETCH, motion_of, moving_share, past_of, survey_clips
from quietcam.data.clips.noisy import find_noisy_clips
from quietcam.data.pictures.files import write_picture
from quietcam.errors import DataError
from quietcam.image import Image


def scene(seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(30, 220, (side // 8, side // 8, 3)).repeat(8, 0).repeat(8, 1)


def noisy(clean: np.ndarray, seed: int, sigma: float = 8.0) -> Image:
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(clean + rng.normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8)


def write(folder: Path, frames: list[Image]) -> None:
    folder.mkdir(parents=True)
    (folder / "clip.json").write_text("{}")
    for number, frame in enumerate(frames):
        write_picture(folder / f"{number:04d}.png", frame)


@pytest.mark.parametrize("sigma", [0.0, 4.0, 25.0])
def test_noise_does_not_move(sigma: float) -> None:
    assert moving_share(noisy(scene(0), 1, sigma), noisy(scene(0), 2, sigma), sigma) < 0.03


@pytest.mark.parametrize("sigma", [0.0, 4.0, 25.0])
def test_what_moves_is_counted_in_cells(sigma: float) -> None:
    before, after = scene(0), scene(0)
    before[:, :32], after[:, :32] = 40, 200
    assert moving_share(noisy(before, 1, sigma), noisy(after, 2, sigma), sigma) == pytest.approx(0.5, abs=0.03)


def test_each_candidate_knows_its_past_and_its_motion(tmp_path: Path) -> None:
    frames = [noisy(scene(0), number) for number in range(STRETCH + 4)]
    write(tmp_path / "one", frames)
    found = survey_clips(find_noisy_clips(tmp_path), size=32, count=8)
    assert found.past is not None
    assert found.moving is not None
    numbers = np.array([int(found.pictures[i].name[-4:]) for i in found.picture])
    np.testing.assert_array_equal(found.past, numbers % STRETCH)
    assert {0, 1, 2, 4, 8, 15, STRETCH, STRETCH + 1} <= set(numbers)
    assert found.moving.max() < 0.05
    for patch, index, (x0, y0, x1, y1) in zip(found.patches, numbers, found.box, strict=True):
        np.testing.assert_array_equal(patch, frames[index][y0:y1, x0:x1])


def test_frames_after_a_cut_are_candidates(tmp_path: Path) -> None:
    write(tmp_path / "one", [noisy(scene(int(number >= 6)), number) for number in range(8)])
    found = survey_clips(find_noisy_clips(tmp_path), size=32, count=8)
    assert found.past is not None
    assert found.moving is not None
    assert found.moving[found.past == 6].min() > 0.4
    assert found.moving[found.past != 6].max() < 0.05
    assert 5 not in found.past


def test_the_order_of_clips_does_not_matter_and_the_seed_does(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"c{number}", [noisy(scene(number), 10 * number + i) for i in range(4)])
    clips = find_noisy_clips(tmp_path)
    one, other, third = (
        survey_clips(order, size=32, count=8, seed=seed) for order, seed in ((clips, 0), (clips[::-1], 0), (clips, 1))
    )
    np.testing.assert_array_equal(one.patches, other.patches)
    assert one.patches.shape != third.patches.shape or (one.patches != third.patches).any()


def test_a_stretch_ends_at_a_frame_of_another_size(tmp_path: Path) -> None:
    write(tmp_path / "one", [noisy(scene(0), 0), noisy(scene(0), 1), noisy(scene(0, 80), 2), noisy(scene(0), 3)])
    found = survey_clips(find_noisy_clips(tmp_path), size=32, count=8)
    assert found.past is not None
    assert set(found.past) == {0, 1}
    assert "one size. Received: 80x80 after 64x64" in found.problems[0]
    with pytest.raises(DataError, match="smaller `size`"):
        survey_clips(find_noisy_clips(tmp_path), size=96, count=8)


def test_few_clips_give_patches_of_every_frame(tmp_path: Path) -> None:
    write(tmp_path / "one", [noisy(scene(0), number) for number in range(12)])
    found = survey_clips(find_noisy_clips(tmp_path), size=16, count=400)
    assert found.past is not None
    assert set(found.past) == set(range(12))


def test_kinds() -> None:
    assert [past_of(each) for each in (0, 1, 3, 4, 11, 12, 47)] == [
        "none", "1 to 3 frames", "1 to 3 frames", "4 to 11 frames", "4 to 11 frames", "12 frames and more",
        "12 frames and more",
    ]  # fmt: skip
    assert [motion_of(each) for each in (0.0, 0.04, 0.05, 0.49, 0.5, 1.0)] == [
        "still", "still", "partly", "partly", "moving", "moving",
    ]  # fmt: skip
