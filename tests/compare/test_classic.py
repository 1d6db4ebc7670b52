from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, median_filter

from compare.classic import FILTERS, Filter, Tuned
from quietcam.image import Image
from quietcam.metrics import psnr
from tests.tiny_network import noisy_pictures


def test_blur_is_a_gaussian() -> None:
    noisy = noisy_pictures(1, 40)[0][0]
    expected = np.stack([gaussian_filter(noisy[..., c].astype(float), 1.3, mode="mirror") for c in range(3)], axis=-1)
    assert np.abs(FILTERS["blur"].apply(noisy, 1.3) - expected).max() <= 2


def test_median_is_that_of_a_square() -> None:
    noisy = noisy_pictures(1, 40)[0][0]
    expected = median_filter(noisy, (7, 7, 1), mode="nearest")
    np.testing.assert_array_equal(FILTERS["median"].apply(noisy, 7.0), expected)


def test_bilateral_weighs_pixels_by_their_place_and_their_value() -> None:
    noisy, color, space = noisy_pictures(1, 40)[0][0], 40.0, 1.5
    reach = round(1.5 * space)  # OpenCV looks no further
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    area = noisy[20 - reach : 21 + reach, 15 - reach : 16 + reach].astype(float)
    weights = np.exp(-(y**2 + x**2) / (2 * space**2)) * (np.hypot(y, x) <= reach)
    weights *= np.exp(-(np.abs(area - noisy[20, 15]).sum(-1) ** 2) / (2 * color**2))
    expected = (area * weights[..., None]).sum((0, 1)) / weights.sum()
    np.testing.assert_allclose(FILTERS["bilateral"].apply(noisy, color, space)[20, 15], expected, atol=0.6)


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("channels", [1, 3])
def test_filters_keep_shape_and_order_of_channels(name: str, channels: int) -> None:
    noisy = np.zeros((24, 32, channels), np.uint8)
    noisy[..., 0] = 200
    filtered = FILTERS[name].apply(noisy, *(axis[3] for axis in FILTERS[name].axes.values()))
    assert filtered.shape == noisy.shape
    assert filtered.dtype == np.uint8
    np.testing.assert_allclose(filtered, noisy, atol=2)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_filters_help_against_noise(name: str) -> None:
    noisy, clean = (each[0] for each in noisy_pictures(1, 64, sigma=12))
    tuned = Tuned(FILTERS[name])
    assert psnr(clean, tuned.denoise(noisy, clean)) > psnr(clean, noisy) + 1
    assert tuned.at_end == 0


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_the_climb_finds_what_trying_every_strength_finds(name: str) -> None:
    tuned = Tuned(FILTERS[name])
    for seed, sigma in enumerate((2.0, 30.0, 6.0, 45.0, 1.0, 15.0)):
        noisy, clean = (each[0] for each in noisy_pictures(1, 48, seed=seed, sigma=sigma))
        settings = itertools.product(*tuned.filter.axes.values())
        best = max(psnr(clean, tuned.filter.apply(noisy, *setting)) for setting in settings)
        assert psnr(clean, tuned.denoise(noisy, clean)) == pytest.approx(best, abs=1e-9)
    assert tuned.chosen.total() == 6


def test_each_picture_has_its_own_strength_and_the_median_runs_alone() -> None:
    def towards(noisy: Image, strength: float) -> Image:
        return np.clip(noisy.astype(int) + int(strength), 0, 255).astype(np.uint8)

    tuned = Tuned(Filter("brighten", "Brighten", {"steps": (0.0, 5.0, 10.0, 20.0)}, towards, lambda _: (10.0,)))
    noisy = np.full((8, 8, 3), 100, np.uint8)
    for offset, wanted in ((9, 110), (18, 120), (4, 105), (12, 110), (40, 120)):
        assert np.all(tuned.denoise(noisy, noisy + np.uint8(offset)) == wanted)
    assert dict(tuned.chosen) == {(10.0,): 2, (20.0,): 2, (5.0,): 1}
    assert tuned.setting == (10.0,)
    assert tuned.at_end == 2
    assert np.all(tuned(noisy) == 110)


def test_a_filter_of_two_axes_has_the_median_on_each() -> None:
    def scaled(noisy: Image, steps: float, times: float) -> Image:
        return np.clip(noisy.astype(int) * times + steps, 0, 255).astype(np.uint8)

    axes = {"steps": (0.0, 5.0, 10.0), "times": (1.0, 2.0)}
    tuned = Tuned(Filter("scale", "Scale", axes, scaled, lambda _: (5.0, 1.0)))
    assert tuned.setting == (0.0, 1.0)
    noisy = np.full((8, 8, 3), 100, np.uint8)
    for wanted in (105, 110, 210):
        assert np.all(tuned.denoise(noisy, np.full_like(noisy, wanted)) == wanted)
    assert dict(tuned.chosen) == {(5.0, 1.0): 1, (10.0, 1.0): 1, (10.0, 2.0): 1}
    assert tuned.setting == (10.0, 1.0)
    assert (tuned.strongest, tuned.at_end) == (("steps", 10.0), 2)
    assert tuned.filter.describe((10.0, 2.0)) == "steps 10, times 2"


def test_a_filter_that_does_nothing_when_weak_is_climbed_across() -> None:
    def deadband(noisy: Image, strength: float) -> Image:
        return noisy if strength < 3 else np.clip(noisy.astype(int) + int(strength), 0, 255).astype(np.uint8)

    tuned = Tuned(Filter("dead", "Dead", {"steps": (1.0, 2.0, 3.0, 4.0, 6.0)}, deadband, lambda _: (1.0,)))
    noisy = np.full((8, 8, 3), 100, np.uint8)
    assert np.all(tuned.denoise(noisy, noisy) == 100)
    assert tuned.setting[0] <= 2.0
    assert np.all(tuned.denoise(noisy, noisy + np.uint8(6)) == 106)
