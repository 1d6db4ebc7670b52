"""Scores of contenders whose errors are known in every frame."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compare.clips.measure.ghosts import GhostSums
from compare.clips.measure.meter import ClipMeter, burn_in
from compare.clips.measure.scoring import mean_scores, score_clip
from compare.clips.scores import ClipScores
from quietcam.metrics import ssim
from tests.compare.clips.fakes import clip_of, flat, walking_square


def decibels(error: float) -> float:
    return 20 * math.log10(255 / error)


def measured(clean: list[np.ndarray], errors: dict[str, list[int]], cuts: tuple[int, ...] = ()) -> ClipMeter:
    """What is measured of contenders that err by so many steps in each frame."""
    clip = clip_of(clean, cuts)
    with ClipMeter(clip.length, {"video": "alone"} if "video" in errors else {}) as meter:
        for number, shot in enumerate(clip.shots()):
            pictures = {name: shot.clean + np.uint8(each[number]) for name, each in errors.items()}
            meter.add(shot, {"noisy": shot.noisy, **pictures})
    return meter


def test_the_burn_in_is_a_third_of_a_short_clip_and_20_frames_of_a_long_one() -> None:
    assert [burn_in(frames) for frames in (2, 16, 60, 300)] == [0, 5, 20, 20]


def test_means_leave_out_the_burn_in() -> None:
    meter = measured([flat(100)] * 9, {"one": [16] * 3 + [4] * 6})
    score = score_clip(meter, "one", noisy="noisy", setting="s=3")
    assert score.psnr == pytest.approx(decibels(4), abs=1e-4)
    assert score.first == pytest.approx(decibels(16), abs=1e-4)
    assert score.psnr_by_frame == pytest.approx([decibels(16)] * 3 + [decibels(4)] * 6, abs=1e-4)
    assert score.gain == pytest.approx(decibels(4) - decibels(10), abs=1e-4)
    assert score.ssim_by_frame[0] == pytest.approx(ssim(flat(100), flat(116)), abs=1e-5)
    assert (score.moving, score.flicker, score.setting, score.drift) == (None, 0.0, "s=3", None)


def test_still_and_moving_parts_are_told_apart() -> None:
    clean = walking_square(6)
    clip = clip_of(list(clean))
    with ClipMeter(6, {}) as meter:
        for shot in clip.shots():
            picture = shot.clean + np.where(shot.moving, 12, 3).astype(np.uint8)[..., None]
            meter.add(shot, {"noisy": shot.noisy, "one": picture})
    score = score_clip(meter, "one", noisy="noisy")
    assert score.still == pytest.approx(decibels(3), abs=1e-4)
    assert score.moving == pytest.approx(decibels(12), abs=1e-4)
    moving = np.mean([(clean[t] != clean[t - 1]).any(axis=2).mean() for t in range(2, 6)])
    assert meter.moving == pytest.approx(moving)


def test_gains_are_over_the_baseline_and_over_the_network_without_history() -> None:
    errors = {"still": [10] * 9, "alone": [8] * 9, "video": [8, 6, 6] + [4] * 6}
    meter = measured([flat(100)] * 9, errors)
    score = score_clip(meter, "video", noisy="noisy", baseline="still", partner="alone", reference="alone")
    assert score.baseline is not None
    assert score.history is not None
    assert (score.baseline.over, score.history.over) == ("still", "alone")
    assert score.baseline.psnr == pytest.approx(decibels(4) - decibels(10), abs=1e-4)
    assert score.history.still == pytest.approx(decibels(4) - decibels(8), abs=1e-4)
    assert score.history.first == pytest.approx(0.0)
    assert score.drop == pytest.approx(decibels(8) - decibels(4), abs=1e-4)
    assert score_clip(meter, "still", noisy="noisy", baseline="still").baseline is None


def test_recovery_is_the_gain_in_the_frames_after_each_cut() -> None:
    scenes = [flat(100)] * 6 + [flat(160)] * 6 + [flat(60)] * 2
    errors = {"alone": [8] * 14, "video": [8, 4, 4, 4, 4, 4, 16, 8, 4, 4, 4, 4, 8, 8]}
    score = score_clip(measured(scenes, errors, cuts=(6, 12)), "video", noisy="noisy", partner="alone")
    assert score.history is not None
    loss = decibels(16) - decibels(8)
    gain = decibels(4) - decibels(8)
    assert score.history.recovery == pytest.approx([loss / 2, 0.0, gain, gain], abs=1e-4)


def test_drift_compares_the_end_of_a_long_clip_with_its_beginning() -> None:
    errors = {"alone": [8] * 300, "video": [8] * 20 + [4] * 50 + [2] * 180 + [6] * 50}
    score = score_clip(measured([flat(100)] * 300, errors), "video", noisy="noisy", partner="alone")
    assert score.drift == pytest.approx(decibels(6) - decibels(4), abs=1e-4)
    assert score.history is not None
    assert score.history.drift == pytest.approx(decibels(6) - decibels(4), abs=1e-4)


def test_a_row_is_the_mean_of_the_clips_that_have_a_value() -> None:
    one = ClipScores([], [], 30.0, 0.9, 29.0, 31.0, None, 2.0, 8.0)
    other = ClipScores([], [], 34.0, 0.8, 33.0, 35.0, 28.0, 4.0, 10.0)
    row = mean_scores([one, other], [GhostSums()])
    assert (row["psnr"], row["still"], row["moving"], row["flicker"], row["gain"]) == (32.0, 33.0, 28.0, 3.0, 9.0)
    assert row["ghost"] is row["history"] is row["drop"] is None
