"""Pairs as of frames shrunk without a filter: aligned, reproducible, and their grain is white."""

import numpy as np

from quietcam.sensor.aliased import alias, photograph_aliased
from quietcam.sensor.noise import SensorNoise
from quietcam.sensor.scenes import photograph
from quietcam.sensor.traits import Traits

FLAT = np.full((96, 128, 3), 90, np.uint8)
NOISE = SensorNoise(5e-3, 1e-5)


def lag_one(pair):
    """Correlation of the noise with itself one pixel to the right."""
    noise = pair[0].astype(float) - pair[1]
    noise -= noise.mean((0, 1))
    return float((noise[:, 1:] * noise[:, :-1]).mean() / (noise**2).mean())


def test_every_few_pixels():
    scene = np.random.default_rng(0).integers(0, 256, (10, 11, 3), np.uint8)
    np.testing.assert_array_equal(alias(scene, 3), scene[[0, 3, 6, 9]][:, [0, 3, 6, 9]])


def test_grain_is_white_where_a_demosaic_leaves_it_correlated():
    white = [lag_one(photograph_aliased(FLAT, seed, levels=NOISE)) for seed in range(8)]
    grainy = [lag_one(photograph(FLAT, seed, levels=NOISE, traits=Traits())) for seed in range(8)]
    assert np.abs(white).max() < 0.05
    assert np.mean(grainy) > 0.2


def test_without_noise_both_sides_are_the_scene_and_edges_stay_jagged():
    scene = np.zeros((48, 64, 3), np.uint8)
    scene[:, ::2] = 160
    noisy, clean = photograph_aliased(scene, 3, levels=SensorNoise(0.0, 0.0))
    np.testing.assert_array_equal(noisy, clean)
    assert clean.shape == scene.shape
    assert clean[4:-4, 2:-2:2].min() > clean[4:-4, 3:-2:2].max() + 80


def test_seeded():
    one, same, other = (photograph_aliased(FLAT, seed, levels=NOISE)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
