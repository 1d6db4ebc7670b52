"""Layers of a moving scene against shifts, sines and areas worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quietcam.sensor.layers import Layer, Scenery, cut_out, draw_outline, light_of, show
from quietcam.sensor.paths import Path, View


def scenery(world, camera=Path(), layers=(), side=32, exposure=0.0):
    return Scenery(np.asarray(world, np.float32), tuple(layers), camera, side, side, exposure)


def block(light, side, place, speed=(0.0, 0.0), alpha=1.0, parallax=1.0):
    pixels = cut_out(np.full((side, side, 3), light, np.float32), np.full((side, side), alpha, np.float32))
    return Layer(pixels, Path(View(*place), speed), parallax)


def test_every_level_is_shown_as_it_was():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
    assert np.array_equal(show(light_of(levels)), levels)


@pytest.mark.parametrize("speed", [(3.0, -2.0), (-1.0, 0.0), (0.0, 5.0)])
def test_a_pan_by_whole_pixels_is_the_shifted_picture(speed):
    world = np.random.default_rng(0).random((96, 96, 3), np.float32)
    panned = scenery(world, Path(speed=speed))
    for frame in range(5):
        x, y = 32 + round(speed[0]) * frame, 32 + round(speed[1]) * frame
        assert np.array_equal(panned.look(frame), world[y : y + 32, x : x + 32])


def test_a_pan_by_a_fraction_shifts_a_wave_by_that_fraction():
    wave = 2 * math.pi / 9.0
    world = np.empty((96, 96, 3), np.float32)
    world[:] = (0.5 + 0.4 * np.cos(wave * np.arange(96)))[np.newaxis, :, np.newaxis]
    panned = scenery(world, Path(speed=(0.3, 0.0)))
    for frame in (1, 2, 5):
        wanted = 0.5 + 0.4 * np.cos(wave * (32 + np.arange(32) + 0.3 * frame))
        # OpenCV knows 32 places between two pixels: half a step of them is 1/64 pixel of a slope of 0.28.
        assert panned.look(frame)[16, :, 0] == pytest.approx(wanted, abs=0.28 / 64 + 0.002)


def test_a_zoom_enlarges_around_the_middle():
    world = np.empty((96, 96, 3), np.float32)
    world[:] = (np.arange(96) / 96)[np.newaxis, :, np.newaxis]
    zoomed = scenery(world, Path(zoom=math.log(0.5), zoom_limits=(0.5, 1.0))).look(1)
    slope = np.diff(zoomed[16, :, 1])
    assert slope == pytest.approx(np.full(31, 0.5 / 96), abs=4e-4)
    assert zoomed[:, :, 1].mean() == pytest.approx(47.5 / 96, abs=1e-3)


def test_an_edge_that_moves_within_the_exposure_becomes_a_ramp_of_linear_light():
    world = np.zeros((96, 96, 3), np.float32)
    world[:, 48:] = 1.0
    sharp = scenery(world, Path(speed=(8.0, 0.0)), exposure=0.0).look(0)
    blurred = scenery(world, Path(speed=(8.0, 0.0)), exposure=1.0).look(0)
    assert ((sharp[16, :, 0] > 0.01) & (sharp[16, :, 0] < 0.99)).sum() == 0
    ramp = blurred[16, :, 0]
    wanted = np.clip((np.arange(32) - 15.5) / 8 + 0.5, 0, 1)
    assert ramp == pytest.approx(wanted, abs=0.08)
    assert ramp.sum() == pytest.approx(sharp[16, :, 0].sum(), abs=0.1)


def test_what_moves_slowly_is_looked_at_once():
    world = np.random.default_rng(1).random((64, 64, 3), np.float32)
    slow = scenery(world, Path(speed=(0.3, 0.0)), exposure=1.0)
    assert np.array_equal(slow.look(2), scenery(world, Path(speed=(0.3, 0.0))).look(2))


def test_a_thing_hides_what_is_behind_it_and_the_last_layer_is_the_nearest():
    world = np.full((64, 64, 3), 0.2, np.float32)
    far, near = block(0.5, 10, (0.0, 0.0)), block(0.9, 6, (0.0, 0.0))
    seen = scenery(world, layers=[far, near]).look(0)[..., 0]
    wanted = np.full((32, 32), 0.2)
    wanted[11:21, 11:21] = 0.5
    wanted[13:19, 13:19] = 0.9
    assert seen == pytest.approx(wanted, abs=1e-5)
    assert scenery(world, layers=[near, far]).look(0)[16, 16, 0] == pytest.approx(0.5, abs=1e-5)


def test_a_veil_mixes_linear_light():
    world = np.full((64, 64, 3), 0.8, np.float32)
    seen = scenery(world, layers=[block(0.2, 9, (0.0, 0.0), alpha=0.5)]).look(0)
    assert seen[16, 16, 0] == pytest.approx(0.5, abs=1e-5)


def test_a_thing_moves_with_the_scene_and_a_near_one_farther():
    world = np.zeros((128, 128, 3), np.float32)
    for parallax in (1.0, 1.5):
        # A camera that goes 4 to the right sees things go 4 to the left.
        seen = scenery(world, Path(speed=(4.0, 0.0)), [block(1.0, 4, (0.0, 0.0), parallax=parallax)]).look(2)[..., 0]
        columns = np.flatnonzero(seen.max(axis=0) > 0.5)
        assert columns.mean() == pytest.approx(15.5 - 8 * parallax, abs=0.01)


def test_outlines_are_alphas_that_end_within_their_side():
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(60):
        alpha = draw_outline(40, rng)
        assert alpha.shape == (40, 40)
        assert 0.0 <= alpha.min() <= alpha.max() <= 1.0
        assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) < 0.5
        shares.append(alpha.mean())
    assert 0.15 < np.mean(shares) < 0.7
