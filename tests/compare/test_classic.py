from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from compare.classic import FILTERS, Filter, Tuned
from quietcam.image import Image
from quietcam.metrics import psnr
from tests.tiny_network import noisy_pictures


def test_blur_is_a_gaussian() -> None:
    noisy = noisy_pictures(1, 40)[0][0]
    expected = np.stack([gaussian_filter(noisy[..., c].astype(float), 1.3, mode="mirror") for c in range(3)], axis=-1)
    assert np.abs(FILTERS["blur"].apply(noisy, 1.3) - expected).max() <= 2


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("channels", [1, 3])
def test_filters_keep_shape_and_order_of_channels(name: str, channels: int) -> None:
    noisy = np.zeros((24, 32, channels), np.uint8)
    noisy[..., 0] = 200
    filtered = FILTERS[name].apply(noisy, FILTERS[name].strengths[3])
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
        best = max(psnr(clean, tuned.filter.apply(noisy, strength)) for strength in tuned.filter.strengths)
        assert psnr(clean, tuned.denoise(noisy, clean)) == pytest.approx(best, abs=1e-9)
    assert tuned.chosen.total() == 6


def test_each_picture_has_its_own_strength_and_the_median_runs_alone() -> None:
    def towards(noisy: Image, strength: float) -> Image:
        return np.clip(noisy.astype(int) + int(strength), 0, 255).astype(np.uint8)

    tuned = Tuned(Filter("brighten", "Brighten", "steps", (0.0, 5.0, 10.0, 20.0), towards, lambda _: 10.0))
    noisy = np.full((8, 8, 3), 100, np.uint8)
    for offset, wanted in ((9, 110), (18, 120), (4, 105), (12, 110), (40, 120)):
        assert np.all(tuned.denoise(noisy, noisy + np.uint8(offset)) == wanted)
    assert dict(tuned.chosen) == {10.0: 2, 20.0: 2, 5.0: 1}
    assert tuned.strength == 10.0
    assert tuned.at_end == 2
    assert np.all(tuned(noisy) == 110)


def test_a_filter_that_does_nothing_when_weak_is_climbed_across() -> None:
    def deadband(noisy: Image, strength: float) -> Image:
        return noisy if strength < 3 else np.clip(noisy.astype(int) + int(strength), 0, 255).astype(np.uint8)

    tuned = Tuned(Filter("dead", "Dead", "steps", (1.0, 2.0, 3.0, 4.0, 6.0), deadband, lambda _: 1.0))
    noisy = np.full((8, 8, 3), 100, np.uint8)
    assert np.all(tuned.denoise(noisy, noisy) == 100)
    assert tuned.strength <= 2.0
    assert np.all(tuned.denoise(noisy, noisy + np.uint8(6)) == 106)
