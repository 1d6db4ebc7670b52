from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from convert.classic import FILTERS, Filter, tune
from quietcam.image import Image
from quietcam.metrics import psnr
from tests.convert.conftest import noisy_pictures


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
    (tuned,) = tune([FILTERS[name]], [(noisy, clean)])
    assert psnr(clean, tuned(noisy)) > psnr(clean, noisy) + 1
    assert not tuned.at_edge


def test_the_strength_is_the_best_over_the_set_and_not_of_one_picture() -> None:
    def towards(noisy: Image, strength: float) -> Image:
        return np.clip(noisy.astype(int) + int(strength), 0, 255).astype(np.uint8)

    brighten = Filter("brighten", "Brighten", "steps", (0.0, 5.0, 10.0, 20.0), towards)
    noisy = np.full((8, 8, 3), 100, np.uint8)
    pairs = [(noisy, noisy + np.uint8(9)), (noisy, noisy + np.uint8(11)), (noisy, noisy + np.uint8(1))]
    (tuned,) = tune([brighten], pairs)
    # By hand: mean over pictures of 20 log10(255 / |offset - strength|).
    mean = {s: np.mean([20 * np.log10(255 / abs(offset - s)) for offset in (9, 11, 1)]) for s in brighten.strengths}
    assert tuned.grid == pytest.approx(mean, abs=1e-3)
    assert tuned.strength == max(mean, key=mean.__getitem__) == 10.0
    assert tuned.psnr_each == pytest.approx(20 * np.log10(255.0))  # each is off by 1 at its own best
