"""One camera over many frames: what changes in every frame, what stays, and what moves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from quietcam.sensor.camera_kinds import DrawnCamera, camera_of
from quietcam.sensor.filming import film, find_moving
from quietcam.sensor.isp import Isp
from quietcam.sensor.motion import Instant, Plan, Shot, draw_plan, play
from quietcam.sensor.noise import SensorNoise
from quietcam.sensor.paths import Light, Path
from quietcam.sensor.postprocessing import Postprocessing
from quietcam.sensor.scenes import generate_scene
from quietcam.sensor.traits import Traits

PATTERN = Traits(uneven=0.03, column=0.01, serial=5)
SILENT = SensorNoise(0.0, 0.0)
GRAY = np.full((64, 64, 1), 128, np.uint8)  # a sensor without a Bayer filter: no demosaic spreads the noise


def camera(noise=SensorNoise(0.0, 4e-4), traits=Traits()):
    return DrawnCamera("machine", noise, Isp(1.0, 1.0, tone="linear"), traits, Postprocessing())


def static(count, scene=GRAY):
    return [Instant(scene, scene, number == 0) for number in range(count)]


def filmed(count, traits=Traits(), noise=SensorNoise(0.0, 4e-4), seed=0):
    return list(film(static(count), camera(noise, traits), seed))


def residual(frame):
    return (frame.noisy.astype(float) - frame.clean)[..., 0]


def test_many_frames_of_a_static_scene_average_to_clean_plus_the_fixed_pattern():
    frames = filmed(400, PATTERN)
    mean = np.mean([residual(frame) for frame in frames], axis=0)
    pattern = residual(filmed(1, PATTERN, SILENT)[0])
    assert pattern.std() > 3.0
    # The noise is 0.02 of the range, 5.1 steps: 0.26 in the mean of 400. Rounding of the silent frame adds 0.29.
    assert (mean - pattern).std() == pytest.approx((0.26**2 + 0.29**2) ** 0.5, rel=0.1)
    assert abs((mean - pattern).mean()) < 0.05


def test_noise_of_two_frames_has_nothing_in_common_but_the_fixed_pattern():
    plain = [residual(frame).ravel() for frame in filmed(6)]
    assert plain[0].std() == pytest.approx(5.1, rel=0.05)
    apart = np.corrcoef(plain)[np.triu_indices(6, 1)]
    assert abs(apart).max() < 4 / 64  # four standard deviations for 64 x 64 pixels
    together = np.corrcoef([residual(frame).ravel() for frame in filmed(6, PATTERN)])[np.triu_indices(6, 1)]
    pattern = residual(filmed(1, PATTERN, SILENT)[0]).var()
    assert together == pytest.approx(np.full(15, pattern / (pattern + 5.1**2)), abs=0.08)


def test_offsets_of_sites_stay_in_the_dark():
    black = np.zeros((64, 64, 1), np.uint8)
    frames = list(film(static(200, black), camera(SensorNoise(0.0, 4e-4), Traits(offset=0.02, serial=5)), 0))
    means = np.mean([frame.noisy[..., 0] for frame in frames], axis=0)
    # The mean of a normal value of mean m and deviation s that is cut off at 0, for offsets m of deviation s.
    rng = np.random.default_rng(0)
    offsets, noise = rng.normal(0, 5.1, 4000), rng.normal(0, 5.1, (400, 1))
    assert means.std() == pytest.approx(np.maximum(offsets + noise, 0).mean(axis=0).std(), rel=0.1)


def test_row_noise_is_new_in_every_frame():
    rows = [residual(frame).mean(axis=1) for frame in filmed(8, Traits(row=0.02), SILENT)]
    assert np.std(rows) == pytest.approx(5.1, rel=0.15)
    assert abs(np.corrcoef(rows)[np.triu_indices(8, 1)]).max() < 4 / 8


def test_hot_pixels_stay():
    hot = [residual(frame) > 10 for frame in filmed(5, Traits(hot=0.01, serial=3), SILENT)]
    assert 10 < hot[0].sum() < 80
    assert all(np.array_equal(hot[0], later) for later in hot[1:])


def test_the_bands_of_lamps_keep_their_period_and_move_on_evenly():
    frames = [residual(frame)[:, 0] / 128 for frame in filmed(9, Traits(lamps=0.3), SILENT, seed=4)]
    assert np.ptp(frames, axis=0).max() > 0.05
    # Waves of one period are sums of one sine and one cosine, so nine of them have two directions, and rounding.
    strengths = np.linalg.svd(np.array(frames), compute_uv=False)
    assert strengths[2] < 0.05 * strengths[0]
    # Such a wave that moves on by an angle a satisfies f(t + 1) + f(t - 1) = 2 cos(a) f(t), with one a for all t.
    ratios = [np.dot(frames[t + 1] + frames[t - 1], frames[t]) / np.dot(frames[t], frames[t]) for t in range(1, 8)]
    assert np.ptp(ratios) < 0.05


def test_the_mask_is_where_clean_frames_differ_and_two_pixels_around():
    plan = next(
        plan
        for plan in (draw_plan(np.random.default_rng(seed), 6, 64) for seed in range(100))
        if plan.shots[0].view == "static" and plan.shots[0].movers and plan.light.kind == "steady"
    )
    scenes = play(plan, lambda number, side: generate_scene(max(16, side), max(16, side), number), 3)
    frames = list(film(scenes, camera_of(8), 3))
    assert frames[0].moving.all()
    moved = 0
    for before, now in itertools.pairwise(frames):
        differs = (abs(now.clean.astype(int) - before.clean) > 1).any(axis=2)
        moved += int(differs.sum())
        wide = np.zeros((68, 68), bool)
        for y in range(5):
            for x in range(5):
                wide[y : y + 64, x : x + 64] |= differs
        assert np.array_equal(now.moving, wide[2:66, 2:66])
    assert moved


def test_light_that_changes_is_no_movement_and_a_cut_is_all_movement():
    light = Light("flicker", 0.5, cycles=0.3)
    plan = Plan(8, 64, (Shot(0, "static", Path()), Shot(5, "static", Path())), light, 0.5)
    scenes = play(plan, lambda number, side: generate_scene(max(16, side), max(16, side), number), 3)
    frames = list(film(scenes, camera_of(1), 3))
    assert [float(frame.moving.mean()) for frame in frames] == [1, 0, 0, 0, 0, 1, 0, 0]
    assert not np.array_equal(frames[1].clean, frames[2].clean)


def test_differences_within_the_step_are_no_movement():
    now = GRAY.copy()
    now[30, 40] += 4
    assert find_moving(GRAY, now, step=4).sum() == 0
    found = find_moving(GRAY, now, step=3)
    assert found[28:33, 38:43].all()
    assert found.sum() == 25


@pytest.mark.parametrize("seed", range(4))
def test_the_same_seed_gives_the_same_clip_and_the_first_frame_is_like_a_still(seed):
    scene = generate_scene(64, 64, 3)
    once, again, other = (list(film(static(3, scene), camera_of(seed), number)) for number in (7, 7, 8))
    assert all(np.array_equal(a.noisy, b.noisy) for a, b in zip(once, again, strict=True))
    assert not np.array_equal(once[0].noisy, other[0].noisy)
    assert not np.array_equal(once[0].noisy, once[1].noisy)
    clean = camera_of(seed).photograph(scene, np.random.default_rng(0))[1]
    assert all(np.array_equal(frame.clean, clean) for frame in once)
    assert once[0].noisy.shape == (64, 64, 3)
