"""Shifts: against shifts made by Fourier's theorem, against scikit-image, and where nothing can be known."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.data.sets.pairs import find_pairs
from quietcam.data.sets.registration import LARGEST_ERROR, find_likeness, find_shift, spread_tiles
from quietcam.errors import DataError

SHARED = Path(__file__).parents[4].parent / "shared" / "data"


def scene(height, width, seed=0):
    """Float ``(H, W)`` around 128 with the falling spectrum of natural pictures, band-limited, periodic."""
    generator = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(rows, columns)
    spectrum = np.fft.rfft2(generator.normal(size=(height, width))) / np.maximum(radius, 1 / max(height, width))
    plane = np.fft.irfft2(spectrum * (radius < 0.4), (height, width))
    return 128 + 40 * (plane - plane.mean()) / plane.std()


def shifted(plane, x, y):
    """Fourier's shift theorem: ``x`` to the right, ``y`` down, around the edges."""
    rows, columns = np.fft.fftfreq(plane.shape[0])[:, None], np.fft.rfftfreq(plane.shape[1])[None, :]
    return np.fft.irfft2(np.fft.rfft2(plane) * np.exp(-2j * np.pi * (rows * y + columns * x)), plane.shape)


def picture(plane, noise=0.0, seed=1):
    values = plane[..., None] + np.random.default_rng(seed).normal(0, 1, (*plane.shape, 3)) * noise
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6), st.integers(0, 99), st.sampled_from([(128, 128), (120, 171), (160, 96)]))
def test_any_shift(x, y, seed, shape):
    plane = scene(*shape, seed)
    found = find_shift(picture(shifted(plane, x, y)), picture(plane))
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.15)
    assert found.distance == pytest.approx(np.hypot(x, y), abs=0.2)
    assert found.error < 0.05


@pytest.mark.parametrize("noise", [5, 15, 30])
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.3, -0.7), (3.4, 1.6)])
def test_in_noise(noise, x, y):
    plane = scene(256, 256)
    found = find_shift(picture(shifted(plane, x, y), noise), picture(plane))
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.15)


def test_the_error_is_honest():
    plane = scene(128, 128)
    clean = picture(plane)
    found = [find_shift(picture(plane, 40, seed), clean) for seed in range(30)]
    spread = float(np.sqrt(np.mean([shift.x**2 for shift in found] + [shift.y**2 for shift in found])))
    stated = float(np.mean([shift.error for shift in found]))
    assert spread / 2 < stated < spread * 4


def test_as_scikit_image_finds_it():
    plane = scene(200, 200, 3)
    noisy, clean = picture(shifted(plane, 1.7, -2.3), 3), picture(plane)
    registration = pytest.importorskip("skimage.registration", reason="needs the extra 'dev'")
    (y, x), *_ = registration.phase_cross_correlation(
        noisy.mean(axis=2), clean.mean(axis=2), upsample_factor=50, normalization=None
    )
    found = find_shift(noisy, clean)
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.1)


def test_tiles_of_a_large_picture():
    plane = scene(1100, 1700, 5)
    found = find_shift(picture(shifted(plane, -0.6, 2.4), 10), picture(plane))
    assert (found.x, found.y) == pytest.approx((-0.6, 2.4), abs=0.05)


def smooth(kind, size=128):
    y, x = np.mgrid[:size, :size].astype(float)
    return {
        "flat": np.full((size, size), 90.0),
        "ramp": 40 + 0.8 * y,
        "slope": 40 + 0.5 * y + 0.5 * x,
        "blob": 60 + 100 * np.exp(-((y - 60) ** 2 + (x - 50) ** 2) / 2000),
    }[kind]


@pytest.mark.parametrize("kind", ["flat", "ramp", "slope", "blob"])
@pytest.mark.parametrize("noise", [5, 25, 60])
def test_smooth_pictures_accuse_nobody(kind, noise):
    plane = smooth(kind)
    for seed in range(10):
        found = find_shift(picture(plane, noise, seed), picture(plane))
        assert found.distance is None or found.distance < 0.5
        assert found.error > LARGEST_ERROR


def test_stripes_tell_the_shift_across_them_alone():
    plane = 90 + 60 * np.sign(np.sin(np.arange(128) / 5.0 + 0.1))[None, :] + np.zeros((128, 1))
    for seed in range(5):
        found = find_shift(picture(plane, 10, seed), picture(plane))
        assert found.distance == pytest.approx(0.0, abs=0.1)
        assert found.error > LARGEST_ERROR
        moved = find_shift(picture(np.roll(plane, 3, axis=1), 10, seed), picture(plane))
        assert moved.distance == pytest.approx(3.0, abs=0.1)


def test_likeness():
    a, b = scene(128, 128, 1), scene(128, 128, 2)
    assert find_likeness(picture(a, 60), picture(a)) > 0.9
    assert find_likeness(picture(shifted(a, 1, 1), 60), picture(a)) > 0.85
    assert abs(find_likeness(picture(b), picture(a))) < 0.5
    assert find_likeness(picture(a), picture(smooth("flat"))) is None
    assert find_likeness(picture(a[:20, :20]), picture(a[:20, :20])) is None


def test_sizes():
    with pytest.raises(DataError, match=r"the same size.*\(64, 64, 3\) and \(64, 65, 3\)"):
        find_shift(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 65, 3), np.uint8))
    with pytest.raises(DataError, match="at least 16x16"):
        find_shift(np.zeros((64, 15, 3), np.uint8), np.zeros((64, 15, 3), np.uint8))


@given(st.integers(1, 6000), st.integers(1, 6000))
def test_tiles_lie_within_and_apart(height, width):
    tiles = spread_tiles((height, width, 3))
    assert 1 <= len(tiles) <= 9
    for rows, columns in tiles:
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width
        assert (rows.stop - rows.start, columns.stop - columns.start) == (min(512, height), min(512, width))
    for axis in (0, 1):
        spans = sorted({(tile[axis].start, tile[axis].stop) for tile in tiles})
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize("folder", ["sidd_native/valid", "sidd_small_256/valid"])
def test_real_pairs_are_registered_and_a_moved_one_is_found(folder):
    for pair in list(find_pairs(SHARED / folder))[:4]:
        noisy, clean = pair.read()
        assert find_shift(noisy, clean).distance < 0.15
        moved = find_shift(noisy[1:, 2:], clean[:-1, :-2])
        assert (moved.x, moved.y) == pytest.approx((-2, -1), abs=0.15)
