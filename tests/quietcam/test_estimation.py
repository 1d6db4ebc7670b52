"""Estimates of noise against known noise: by formula, by construction, and from real pairs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.errors import DataError, UsageError
from quietcam.estimation import BlindEstimator, NoiseEstimate, estimate_blind, estimate_burst, estimate_pair
from quietcam.image import Image
from quietcam.sensor.isp import DEMOSAICS, Isp
from quietcam.sensor.noise import SensorCamera, SensorNoise, gaussian
from quietcam.sensor.scenes import generate_scene

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def steps() -> Image:
    """A scene of eight gray levels, far from black and white."""
    levels = np.linspace(60, 200, 8).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(np.repeat(levels, 32)[:, np.newaxis, np.newaxis], (256, 256, 3)))


def signal_noise(clean: Image, shot: float, read: float, seed: int = 0) -> Image:
    """Add noise of variance shot * value + read, for values in [0, 1]."""
    value = clean / 255.0
    noisy = value + rng(seed).standard_normal(clean.shape) * np.sqrt(shot * value + read)
    return np.rint(np.clip(noisy, 0.0, 1.0) * 255.0).astype(np.uint8)


@settings(max_examples=20, deadline=None)
@given(st.floats(1.0, 15.0), st.integers(0, 2**32))
def test_pair_and_burst_find_a_known_sigma(sigma: float, seed: int) -> None:
    clean, stream = steps(), rng(seed)
    rounded = math.sqrt(sigma * sigma + 1.0 / 12.0)
    assert estimate_pair(gaussian(clean, sigma, stream), clean).sigma == pytest.approx(rounded, rel=0.02)
    burst = estimate_burst(gaussian(clean, sigma, stream) for _ in range(3))
    assert burst.sigma == pytest.approx(rounded, rel=0.02)


@pytest.mark.parametrize(("shot", "read"), [(2e-3, 1e-4), (0.0, 1e-3), (3e-3, 0.0)])
def test_shot_and_read_noise_are_found(shot: float, read: float) -> None:
    clean = steps()
    truth = 255.0 * math.sqrt(shot * float(clean.mean()) / 255.0 + read)
    found = [
        estimate_pair(signal_noise(clean, shot, read), clean),
        estimate_burst([signal_noise(clean, shot, read, seed) for seed in range(6)]),
        estimate_blind(signal_noise(clean, shot, read)),
    ]
    for estimate, tolerance in zip(found, (0.1, 0.1, 0.35), strict=True):
        assert estimate.sigma == pytest.approx(truth, rel=tolerance / 3.0)
        assert estimate.shot == pytest.approx(shot, rel=tolerance, abs=4e-4 * tolerance / 0.1)
        assert estimate.read == pytest.approx(read, rel=tolerance, abs=2e-4 * tolerance / 0.1)


def test_a_picture_without_noise_gives_zero() -> None:
    clean = steps()
    nothing = NoiseEstimate(0.0, 0.0, 0.0)
    assert estimate_pair(clean, clean) == nothing
    assert estimate_burst([clean, clean]) == nothing
    for flat in (0, 90, 255):
        assert estimate_blind(np.full((64, 64, 3), flat, np.uint8)) == nothing


def test_a_constant_shift_is_no_noise() -> None:
    clean = steps()
    assert estimate_pair(clean + np.uint8(9), clean).sigma == 0.0


@pytest.mark.parametrize("sigma", [1.0, 4.0, 12.0, 30.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_blind_finds_white_noise_on_a_flat_picture(sigma: float, channels: int) -> None:
    noisy = gaussian(np.full((256, 256, channels), 120, np.uint8), sigma, rng())
    assert estimate_blind(noisy).sigma == pytest.approx(math.sqrt(sigma**2 + 1 / 12), rel=0.08)


def test_three_equal_channels_give_the_estimate_of_one() -> None:
    gray = gaussian(np.full((256, 256, 1), 120, np.uint8), 8.0, rng())
    assert estimate_blind(np.repeat(gray, 3, axis=2)).sigma == pytest.approx(8.0, rel=0.08)


@pytest.mark.parametrize("kind", DEMOSAICS)
@pytest.mark.parametrize("shot", [3e-4, 2e-3, 8e-3])
def test_blind_finds_grain_in_a_scene(kind: str, shot: float) -> None:
    """Neighboring pixels of grain are correlated: an estimate that assumes white noise is wrong by 40 %."""
    camera = SensorCamera(SensorNoise(shot, 0.3 * shot**1.5), Isp(demosaic=kind))
    found = []
    for seed in range(5):
        scene = generate_scene(256, 256, seed)
        noisy = camera.expose(scene, rng(seed))
        found.append(estimate_blind(noisy).sigma / estimate_pair(noisy, camera.clean(scene, averaged=True)).sigma)
    assert 0.85 < float(np.median(found)) < 1.2


def test_a_stream_is_estimated_from_a_few_frames() -> None:
    clean, stream = generate_scene(240, 320, 5), rng()
    estimator = BlindEstimator((240, 320, 3))
    for _ in range(6):
        sigma = estimator.update(gaussian(clean, 10.0, stream)).sigma
    assert sigma == pytest.approx(10.0, rel=0.15)
    for _ in range(4):
        sigma = estimator.update(gaussian(clean, 20.0, stream)).sigma
    assert sigma == pytest.approx(20.0, rel=0.15), "after four frames the old noise is forgotten"


def test_the_memory_layout_of_frames_makes_no_difference() -> None:
    frame = gaussian(generate_scene(120, 160, 1), 6.0, rng())
    wide = np.zeros((120, 200, 3), np.uint8)
    wide[:, :160] = frame
    assert BlindEstimator(frame.shape).update(frame) == BlindEstimator(frame.shape).update(wide[:, :160])


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from([1, 3]), st.integers(0, 2**32))
def test_every_size_gives_finite_estimates(height: int, width: int, channels: int, seed: int) -> None:
    image = rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    for estimate in (estimate_blind(image), BlindEstimator(image.shape).update(image)):
        assert math.isfinite(estimate.sigma)
        assert min(estimate.sigma, estimate.shot, estimate.read) >= 0.0


def test_unsuitable_pictures_are_refused() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(DataError, match="the same shape"):
        estimate_pair(image, image[:8])
    with pytest.raises(DataError, match=r"two frames or more.*Received: 1"):
        estimate_burst([image])
    with pytest.raises(DataError, match="8x8"):
        estimate_blind(image[:7])
    with pytest.raises(DataError, match="8x8"):
        BlindEstimator((480, 640, 4))
    with pytest.raises(UsageError, match="at least 1 frame"):
        BlindEstimator((480, 640, 3), memory=0)
    with pytest.raises(DataError, match=r"\(16, 16, 3\).*Received: "):
        BlindEstimator((16, 16, 3)).update(image[:12])


@pytest.mark.parametrize(("folder", "most"), [("sidd_native", 0.20), ("sidd_small_256", 0.25)])
def test_blind_on_real_pictures(folder: str, most: float) -> None:
    if not (DATA / folder).is_dir():
        pytest.skip(f"no {DATA / folder}")
    from quietcam.data.sets.pairs import find_pairs

    misses = []
    for pair in find_pairs(DATA / folder / "valid"):
        noisy, clean = pair.read()
        misses.append(abs(estimate_blind(noisy).sigma / estimate_pair(noisy, clean).sigma - 1.0))
    assert float(np.median(misses)) < most
