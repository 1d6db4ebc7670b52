"""Regions of pictures that are what they are by construction, and false contours counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from compare.regions import LIGHTS, REGIONS, classify, contours, lights


def gray(plane):
    return np.repeat(np.rint(plane)[..., None], 3, axis=2).astype(np.uint8)


def share(picture, region, inside=np.s_[8:-8, 8:-8]):
    return np.mean(classify(picture)[inside] == REGIONS.index(region))


def test_shading_is_flat_even_under_a_little_noise():
    ramp = np.tile(np.linspace(20, 200, 128), (96, 1))
    assert share(gray(ramp), "flat") == 1.0
    noisy = ramp + np.random.default_rng(0).normal(0, 1.0, ramp.shape)
    assert share(gray(noisy), "flat") > 0.99


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120])
def test_a_straight_border_is_an_edge_whatever_its_direction(degrees):
    y, x = np.mgrid[:96, :96] - 48.0
    angle = np.deg2rad(degrees)
    distance = x * np.cos(angle) + y * np.sin(angle)
    picture = gray(np.where(distance > 0, 180.0, 60.0))
    near, far = np.abs(distance) < 1.5, np.abs(distance) > 6
    regions = classify(picture)
    inside = np.s_[8:-8, 8:-8]
    assert np.mean(regions[inside][near[inside]] == REGIONS.index("edge")) > 0.99
    assert np.all(regions[inside][far[inside]] == REGIONS.index("flat"))


def test_strong_grain_and_checks_are_texture():
    rng = np.random.default_rng(1)
    assert share(gray(rng.uniform(60, 190, (96, 96))), "texture") > 0.9
    y, x = np.mgrid[:96, :96]
    assert share(gray(np.where((x // 3 + y // 3) % 2, 60.0, 180.0)), "texture") > 0.9


def test_small_and_thin_pictures_have_regions_too():
    for shape in ((7, 7), (1, 9), (64, 3)):
        assert classify(gray(np.full(shape, 90.0))).shape == shape


def test_lights_split_at_64_and_192():
    levels = np.array([[0, 63, 64, 191, 192, 255]], float)
    assert [LIGHTS[each] for each in lights(gray(levels))[0]] == [
        *("shadows", "shadows", "middle", "middle", "highlights", "highlights")
    ]


def test_every_step_of_a_posterized_ramp_is_a_contour():
    """32 levels of 8 over 512 columns: plateaus of 16 pixels with 31 steps between, in each row and channel."""
    columns = np.arange(512)
    picture = gray(np.tile(columns // 16 * 8.0, (20, 1)))
    everywhere = np.ones(picture.shape[:2], bool)
    assert contours(picture, everywhere) == 31 * 20 * 3
    assert contours(picture.transpose(1, 0, 2), everywhere.T) == 31 * 20 * 3
    # Only where it is flat, with all eight pixels.
    half = everywhere.copy()
    half[:, 256:] = False
    assert contours(picture, half) == 15 * 20 * 3


def test_a_ramp_as_smooth_as_8_bits_can_show_has_none():
    picture = gray(np.tile(np.arange(512) // 8 * 1.0, (20, 1)))  # plateaus too, but steps of 1
    assert contours(picture, np.ones(picture.shape[:2], bool)) == 0


def test_noise_and_short_plateaus_are_no_contours():
    rng = np.random.default_rng(2)
    noisy = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert contours(noisy, np.ones((64, 64), bool)) == 0
    short = gray(np.tile(np.arange(60) // 3 * 4.0, (9, 1)))
    assert contours(short, np.ones(short.shape[:2], bool)) == 0
    assert contours(short[:5, :5], np.ones((5, 5), bool)) == 0
