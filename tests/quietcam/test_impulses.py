"""Salt and pepper without a clean twin, against what was put there."""

import numpy as np
import pytest

from quietcam.impulses import estimate_impulses
from quietcam.noise import gaussian, salt_and_pepper
from quietcam.scenes import generate_scene


def test_on_gray_it_is_what_is_there_but_for_those_that_touch():
    """Alone among its two neighbours stands (1 - p)^2 of a share p; each is 127.5 off, on average squared."""
    share = 0.01
    gray = np.full((480, 9600, 3), 128, np.uint8)
    noisy = salt_and_pepper(gray, share, np.random.default_rng(0))
    found = estimate_impulses(noisy)
    alone = share * (1 - share) ** 2
    assert found.share == pytest.approx(alone, rel=0.1)
    assert found.power == pytest.approx(alone * 127.5**2, rel=0.1)


@pytest.mark.parametrize("channels", [1, 3])
def test_scenes_and_their_noise_are_none(channels):
    scene = generate_scene(240, 320, 3)[..., :channels]
    assert estimate_impulses(scene).share < 0.001
    assert estimate_impulses(gaussian(scene, 20, np.random.default_rng(1))).share < 0.001


def test_one_black_channel_is_a_colour():
    picture = np.full((40, 40, 3), 200, np.uint8)
    picture[::2, ::2, 0] = 0
    assert estimate_impulses(picture) == (0.0, 0.0)


def test_a_picture_of_two_columns_has_none():
    assert estimate_impulses(np.zeros((9, 2, 3), np.uint8)) == (0.0, 0.0)
