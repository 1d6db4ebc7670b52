"""PSNR against its formula, SSIM against scikit-image."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam import metrics
from quietcam.errors import DataError
from quietcam.metrics import MOST_DB, finite_psnr, psnr, ssim


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def noisier(image, sigma, seed=1):
    return np.clip(image + np.random.default_rng(seed).normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def reference(a, b):
    metrics = pytest.importorskip("skimage.metrics", reason="needs the extra 'dev'")
    return metrics.structural_similarity(a, b, channel_axis=2, data_range=255)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 48.1308036087), (10, 28.1308036087), (255, 0.0)],
    ids=["one step everywhere", "ten steps everywhere", "black against white"],
)
def test_psnr_of_a_constant_error(step, expected):
    a = np.zeros((5, 9, 3), np.uint8)
    assert psnr(a, a + np.uint8(step)) == pytest.approx(expected, abs=1e-9)


def test_what_goes_into_a_mean_is_finite():
    a = np.zeros((8, 8, 3), np.uint8)
    assert psnr(a, a) == math.inf
    assert finite_psnr(a, a) == MOST_DB == 100.0
    assert finite_psnr(a, a + np.uint8(1)) == psnr(a, a + np.uint8(1))


def test_psnr_is_over_all_channels_and_pixels():
    a, b = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    b[0, 1, 2] = 6  # squared error 36 in one of 12 values: MSE 3
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 / 3), abs=1e-12)


def test_psnr_does_not_wrap_around():
    low, high = np.full((4, 4, 3), 3, np.uint8), np.full((4, 4, 3), 250, np.uint8)
    assert psnr(low, high) == psnr(high, low) == pytest.approx(20 * math.log10(255 / 247), abs=1e-12)


def test_equal_pictures_have_infinite_psnr_and_ssim_1():
    a = noise((12, 10, 3))
    assert psnr(a, a.copy()) == math.inf
    assert ssim(a, a.copy()) == pytest.approx(1.0, abs=1e-12)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 99))
def test_psnr_is_the_formula(height, width, channels, seed):
    a, b = noise((height, width, channels), seed), noise((height, width, channels), seed + 100)
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    expected = math.inf if error == 0 else 10 * math.log10(255.0**2 / error)
    assert psnr(a, b) == pytest.approx(expected, rel=1e-12)
    assert psnr(a, b) == psnr(b, a)


@settings(deadline=None)
@given(st.integers(7, 40), st.integers(7, 40), st.sampled_from([1, 3]), st.floats(0, 80), st.integers(0, 99))
def test_ssim_equals_that_of_scikit_image(height, width, channels, sigma, seed):
    a = noise((height, width, channels), seed)
    b = noisier(a, sigma, seed)
    assert ssim(a, b) == pytest.approx(reference(a, b), abs=1e-9)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_ssim_of_flat_and_almost_flat_pictures(value):
    a = np.full((40, 30, 3), value, np.uint8)
    b = a.copy()
    b[10:20, 5:25] ^= 1
    assert ssim(a, b) == pytest.approx(reference(a, b), abs=1e-9)


@pytest.mark.parametrize("height", [37, 38, 39, 263, 519])
def test_bands_of_rows_leave_no_seam(height):
    assert metrics._ROWS_AT_ONCE == 32
    a = noise((height, 31, 3))
    a[height // 2 :] //= 4
    b = noisier(a, 15)
    assert ssim(a, b) == pytest.approx(reference(a, b), abs=1e-9)
    error = np.mean((a.astype(np.float64) - b) ** 2)
    assert psnr(a, b) == pytest.approx(10 * math.log10(255.0**2 / error), abs=1e-9)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_pictures_that_cannot_be_compared_are_refused(measure):
    a = noise((16, 16, 3))
    with pytest.raises(DataError, match=r"shapes must be equal.*\(16, 16, 3\) and \(16, 15, 3\)"):
        measure(a, a[:, :15])
    with pytest.raises(DataError, match="float64"):
        measure(a, a.astype(np.float64))
    with pytest.raises(DataError, match="uint8 of shape"):
        measure(a[..., 0], a[..., 0])


def test_ssim_needs_a_whole_window():
    a = noise((6, 20, 3))
    with pytest.raises(DataError, match=r"at least 7x7 pixels. Received: 20x6"):
        ssim(a, a)
