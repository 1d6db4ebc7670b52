"""Estimates of impulse noise against known impulses."""

import numpy as np
import pytest

from quietcam.impulses import estimate_impulses
from quietcam.sensor.noise import gaussian, salt_and_pepper
from quietcam.sensor.scenes import generate_scene


def test_the_share_on_gray_is_that_of_isolated_impulses():
    """Of a share p, (1 - p/2)^8 have no impulse of the same color among their eight neighbors."""
    share = 0.01
    gray = np.full((480, 9600, 3), 128, np.uint8)
    noisy = salt_and_pepper(gray, share, np.random.default_rng(0))
    found = estimate_impulses(noisy)
    alone = share * (1 - share / 2) ** 8
    assert found.share == pytest.approx(alone, rel=0.1)
    assert found.power == pytest.approx(alone * 127.5**2, rel=0.15)  # each is 127.5 off on average, and a little more


@pytest.mark.parametrize("channels", [1, 3])
def test_scenes_with_sensor_noise_have_no_impulses(channels):
    scene = generate_scene(240, 320, 3)[..., :channels]
    assert estimate_impulses(scene).share < 0.001
    assert estimate_impulses(gaussian(scene, 20, np.random.default_rng(1))).share < 0.001


def test_thin_lines_and_single_lights_are_no_impulses():
    picture = generate_scene(240, 320, 3)
    picture[::7] = 255
    picture[:, ::31] = 0
    steps = np.arange(240)
    picture[steps, steps] = 255
    assert estimate_impulses(picture).share == 0.0
    small = np.full((9, 9, 3), 90, np.uint8)
    small[4, 4] = 255
    assert estimate_impulses(small).share == 0.0


def test_a_pixel_with_one_black_channel_is_no_impulse():
    picture = np.full((40, 40, 3), 200, np.uint8)
    picture[::2, ::2] = 0
    assert estimate_impulses(picture).share > 0.1
    picture[..., 1:] = 200
    assert estimate_impulses(picture) == (0.0, 0.0)


def test_a_picture_of_two_columns_has_no_impulses():
    assert estimate_impulses(np.zeros((9, 2, 3), np.uint8)) == (0.0, 0.0)
