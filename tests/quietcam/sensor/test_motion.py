"""Sequences: drawn by the shares that are stated, the same by the same seed, with light and cuts as they are told."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from quietcam.sensor.layers import light_of
from quietcam.sensor.motion import (
    CUT_SHARE,
    FOREGROUND_SHARE,
    LIGHT_SHARES,
    MOVER_SHARES,
    VIEW_SHARES,
    Plan,
    Shot,
    draw_plan,
    play,
)
from quietcam.sensor.paths import Light, Path, draw_mover, draw_view
from quietcam.sensor.scenes import generate_scene

PLANS = [draw_plan(np.random.default_rng([seed, 9]), 12, 64) for seed in range(2000)]
SHOTS = [shot for plan in PLANS for shot in plan.shots]


def stills(number, side):
    return generate_scene(max(16, side), max(16, side), 500 + number)


def near(wanted, count):
    return pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / count) ** 0.5)


@pytest.mark.parametrize(
    ("shares", "drawn"),
    [
        (VIEW_SHARES, [shot.view for shot in SHOTS]),
        (MOVER_SHARES, [len(shot.movers) for shot in SHOTS]),
        (LIGHT_SHARES, [plan.light.kind for plan in PLANS]),
        ({True: FOREGROUND_SHARE}, [shot.foreground > 0 for shot in SHOTS]),
        ({True: CUT_SHARE}, [len(plan.shots) == 2 for plan in PLANS]),
    ],
)
def test_everything_is_drawn_in_the_shares_that_are_stated(shares, drawn):
    found = Counter(drawn)
    for value, wanted in shares.items():
        assert found[value] / len(drawn) == near(wanted, len(drawn))
    if len(shares) > 1:
        assert sum(shares.values()) == pytest.approx(1.0)


def test_cameras_move_as_they_are_called():
    rng = np.random.default_rng(0)
    for kind in VIEW_SHARES:
        for _ in range(50):
            path = draw_view(kind, rng, 64)
            views = [path.at(frame) for frame in range(12)]
            moves = len(set(views)) > 1
            assert moves == (kind != "static")
            assert (len({view.scale for view in views}) > 1) == (kind == "zoom")
            steps = np.diff([(view.x, view.y) for view in views], axis=0)
            if kind == "pan":
                assert np.ptp(steps, axis=0) == pytest.approx([0, 0], abs=1e-9)
                assert 0.15 <= np.hypot(*steps[0]) <= 8.0


def test_things_pass_through_the_frame_and_some_stop_or_begin():
    rng = np.random.default_rng(3)
    paths = [draw_mover(rng, 12, 64) for _ in range(1000)]
    for path in paths:
        closest = min(max(abs(view.x), abs(view.y)) for view in map(path.at, np.linspace(0, 12, 200)))
        assert closest <= 0.4 * 64 + 12 * 12 / 200
    assert np.mean([np.isfinite(path.ends) for path in paths]) == near(1 / 4, 1000)
    assert np.mean([np.isfinite(path.begins) for path in paths]) == near(1 / 8, 1000)
    assert np.mean([path.turn != 0 for path in paths]) == near(1 / 4, 1000)


def test_the_same_seed_gives_the_same_frames_and_another_one_others():
    plan = next(plan for plan in PLANS if len(plan.shots) == 2 and plan.shots[0].movers)
    once, again, other = ([instant.scene for instant in play(plan, stills, seed)] for seed in (5, 5, 6))
    assert len(once) == 12
    assert all(scene.dtype == np.uint8 and scene.shape == (64, 64, 3) for scene in once)
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_where_nothing_moves_every_frame_is_the_still_picture():
    plan = Plan(6, 64, (Shot(0, "static", Path()),), Light(), 0.5)
    played = list(play(plan, stills, 1))
    assert all(np.array_equal(instant.scene, stills(0, 64)) for instant in played)
    assert len({id(instant.scene) for instant in played}) == 1, "the camera keeps what it has worked out"
    assert [instant.cut for instant in played] == [True] + [False] * 5


def test_a_cut_shows_another_scene():
    plan = Plan(6, 64, (Shot(0, "static", Path()), Shot(4, "static", Path())), Light(), 0.5)
    played = list(play(plan, stills, 1))
    assert [instant.cut for instant in played] == [True, False, False, False, True, False]
    assert np.array_equal(played[3].scene, stills(0, 64))
    assert np.array_equal(played[5].scene, stills(10, 64))


def test_light_multiplies_linear_light_and_leaves_the_scene_in_full_light_as_it_is():
    plan = Plan(8, 64, (Shot(0, "static", Path()),), Light("fade", 0.25, begins=2.0, length=4.0), 0.5)
    played = list(play(plan, stills, 1))
    assert all(np.array_equal(instant.steady, played[0].scene) for instant in played)
    bright = light_of(played[0].scene) > 0.3
    for frame, factor in ((1, 1.0), (4, 0.5), (7, 0.25)):
        ratio = light_of(played[frame].scene)[bright] / light_of(played[0].scene)[bright]
        assert ratio == pytest.approx(np.full(ratio.shape, factor), rel=0.02)


@pytest.mark.parametrize("kind", [*LIGHT_SHARES])
def test_light_stays_above_nothing_and_at_most_full(kind):
    levels = [plan.light.at(frame) for plan in PLANS if plan.light.kind == kind for frame in range(12)]
    assert 0.04 < min(levels) <= max(levels) <= 1.0
    assert (min(levels) == 1.0) == (kind == "steady")
