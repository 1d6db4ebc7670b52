"""Noise models: means, variances, shares, seeds and errors, against formulas by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.errors import DataError, UsageError
from quietcam.image import Image
from quietcam.sensor import noise
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import SensorCamera, SensorNoise

QUIET = SensorNoise(0.0, 0.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def flat(level: int, size: int = 128, channels: int = 3) -> Image:
    return np.full((size, size, channels), level, np.uint8)


def picture(seed: int = 0, size: int = 32, channels: int = 3) -> Image:
    return rng(seed).integers(0, 256, (size, size, channels), np.uint8)


def test_gaussian_has_the_asked_sigma_and_keeps_the_mean() -> None:
    noisy = noise.gaussian(flat(120), 10.0, rng()).astype(float)
    count = noisy.size
    assert abs(noisy.mean() - 120.0) < 4.0 * 10.0 / math.sqrt(count)
    # Rounding to whole steps adds 1/12; the estimate itself scatters by 1 / sqrt(2 n).
    assert noisy.std() == pytest.approx(math.sqrt(100.0 + 1.0 / 12.0), rel=4.0 / math.sqrt(2.0 * count))


def test_gaussian_clips_and_does_not_wrap() -> None:
    assert noise.gaussian(flat(255), 30.0, rng()).min() > 60
    assert noise.gaussian(flat(0), 30.0, rng()).max() < 195


@given(st.integers(0, 2**32), st.sampled_from([1, 3]))
def test_no_noise_changes_nothing(seed: int, channels: int) -> None:
    image = picture(seed, channels=channels)
    assert np.array_equal(noise.gaussian(image, 0.0, rng(seed)), image)
    assert np.array_equal(noise.salt_and_pepper(image, 0.0, rng(seed)), image)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 1.0), st.integers(0, 2**32))
def test_salt_and_pepper_hits_its_share(share: float, seed: int) -> None:
    noisy = noise.salt_and_pepper(flat(100), share, rng(seed))
    hit = noisy != 100
    assert np.array_equal(hit.any(axis=2), hit.all(axis=2)), "a pixel is hit in all its channels"
    assert set(np.unique(noisy)) <= {0, 100, 255}
    scatter = 6.0 * math.sqrt(max(share * (1.0 - share), 1e-9) / (128 * 128)) + 1e-4
    assert hit[..., 0].mean() == pytest.approx(share, abs=scatter)
    assert (noisy[..., 0] == 255).mean() == pytest.approx(share / 2.0, abs=scatter + 6.0 / 256.0 * math.sqrt(share))


def test_all_salt_and_pepper_leaves_nothing() -> None:
    assert set(np.unique(noise.salt_and_pepper(flat(100), 1.0, rng()))) == {0, 255}


@given(st.floats(0.0, 0.02), st.floats(0.0, 1e-3), st.integers(0, 2**32), st.sampled_from(["bilinear", "malvar"]))
@settings(max_examples=30, deadline=None)
def test_the_same_seed_gives_the_same_pair(shot: float, read: float, seed: int, kind: str) -> None:
    scene, isp = picture(seed), Isp(demosaic=kind)
    first = noise.sensor_pair(scene, SensorNoise(shot, read), isp, rng(seed))
    again = noise.sensor_pair(scene, SensorNoise(shot, read), isp, rng(seed))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


@given(st.integers(0, 2**32), st.sampled_from([1, 3]), st.integers(3, 20), st.integers(3, 20))
@settings(max_examples=40, deadline=None)
def test_a_quiet_sensor_gives_two_equal_pictures(seed: int, channels: int, height: int, width: int) -> None:
    scene = rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    noisy, clean = noise.sensor_pair(scene, QUIET, noise.random_camera(rng(seed)).isp, rng(seed))
    assert noisy.shape == scene.shape
    assert np.array_equal(noisy, clean)


@pytest.mark.parametrize("signal", [0.1, 0.3, 0.6])
@pytest.mark.parametrize(("shot", "read"), [(1e-3, 0.0), (0.0, 1e-4), (4e-3, 2e-4)])
def test_raw_variance_is_shot_times_signal_plus_read(signal: float, shot: float, read: float) -> None:
    raw = np.full((512, 512), signal, np.float32)
    noisy = SensorNoise(shot, read).expose(raw, rng()).astype(float)
    scatter = 5.0 / math.sqrt(2.0 * raw.size)
    assert noisy.var() == pytest.approx(shot * signal + read, rel=2.0 * scatter)
    assert noisy.mean() == pytest.approx(signal, abs=5.0 * math.sqrt((shot * signal + read) / raw.size))


def test_raw_clips_at_black_as_a_camera_does() -> None:
    """Half of a black signal's noise is cut off: its mean becomes sigma / sqrt(2 pi)."""
    noisy = SensorNoise(0.0, 1e-4).expose(np.zeros((512, 512), np.float32), rng())
    assert noisy.min() == 0.0
    assert noisy.mean() == pytest.approx(0.01 / math.sqrt(2.0 * math.pi), rel=0.02)
    assert SensorNoise(0.0, 1e-4).expose(np.ones((64, 64), np.float32), rng()).max() == 1.0


@pytest.mark.parametrize("noisy", [SensorNoise(4e-3, 1e-4), SensorNoise(0.0, 2e-3), SensorNoise(0.02, 0.0)])
def test_the_average_is_that_of_many_exposures(noisy: SensorNoise) -> None:
    raw = np.array([[0.0, 0.002, 0.01, 0.03, 0.1, 0.5, 0.9, 0.97, 1.0]], np.float32)
    many = noisy.expose(np.repeat(raw, 200_000, axis=0), rng()).mean(axis=0, dtype=np.float64)
    worst = 5.0 * np.sqrt(noisy.variance(raw[0]) / 200_000) + 1e-6
    assert (np.abs(noisy.average(raw)[0] - many) < worst).all()


def test_an_averaged_ground_truth_differs_only_where_noise_is_clipped() -> None:
    sensor, isp = SensorNoise(3e-3, 4e-5), Isp()
    dark, gray = flat(12, 64), flat(120, 64)
    plain, lifted = (noise.sensor_pair(dark, sensor, isp, rng(), averaged=a)[1] for a in (False, True))
    assert lifted.mean() > plain.mean() + 2.0
    assert np.array_equal(noise.sensor_pair(gray, sensor, isp, rng(), averaged=True)[1], gray)
    assert np.array_equal(noise.sensor_pair(dark, QUIET, isp, rng(), averaged=True)[1], dark)


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_is_kept_where_nothing_clips(channels: int) -> None:
    scene = flat(130, 256, channels)
    noisy, clean = noise.sensor_pair(scene, SensorNoise(2e-4, 1e-6), Isp(exposure=0.9), rng())
    assert np.array_equal(clean, scene)
    # The tone curve bends: it takes a little off the mean of what is noisy, well under 0.1 of a step here.
    assert np.abs(noisy.mean(axis=(0, 1)) - 130.0).max() < 0.15
    assert noisy.std() > 1.0


def test_grain_is_a_sensors() -> None:
    """Demosaicing spreads each site's noise: neighbors correlate as in phone pictures (0.25 to 0.65)."""
    matrix = ((1.4, -0.3, -0.1), (-0.15, 1.35, -0.2), (-0.03, -0.27, 1.3))
    noisy, clean = noise.sensor_pair(
        flat(110, 256), SensorNoise(2e-3, 5e-6), Isp(matrix=matrix, demosaic="malvar"), rng()
    )
    grain = noisy.astype(float) - clean
    for channel in range(3):
        plane = grain[..., channel] - grain[..., channel].mean()
        assert 0.25 < (plane[:, 1:] * plane[:, :-1]).mean() / plane.var() < 0.65


def test_a_camera_keeps_looking_at_a_scene_and_notices_another() -> None:
    camera = SensorCamera(SensorNoise(1e-3, 1e-6), Isp())
    one, two = picture(1), picture(2)
    stream = rng(5)
    frames = [camera.expose(one, stream) for _ in range(2)]
    assert not np.array_equal(frames[0], frames[1]), "each exposure has noise of its own"
    assert camera.look(one) is camera.look(one)
    assert np.array_equal(camera.clean(two), SensorCamera(QUIET, Isp()).clean(two))
    assert np.array_equal(camera.expose(two, rng(9)), noise.noisy_frame(two, camera.noise, Isp(), rng(9)))


@pytest.mark.parametrize(
    ("name", "gain", "shot"),
    [
        ("imx219", 1.0, 3.661**2 / 61439),
        ("imx219", 8.0, 8.0 * 3.661**2 / 61439),
        ("imx477", 1.0, 2.809**2 / 61439),
        ("imx708", 16.0, 16.0 * 1.856**2 / 61439),
        ("ov5647", 2.0, 2.0 * 4.371**2 / 64511),
    ],
)
def test_named_sensors_follow_their_tuning(name: str, gain: float, shot: float) -> None:
    """By hand from libcamera's profile: deviation = slope * sqrt(gain * pixel), in 16 bits above black."""
    assert noise.sensor(name, gain).shot == pytest.approx(shot)


def test_read_noise_in_electrons_does_not_depend_on_the_gain() -> None:
    for name in noise.SENSORS:
        low, high = noise.sensor(name, 1.0), noise.sensor(name, 16.0)
        assert math.sqrt(low.read) / low.shot == pytest.approx(math.sqrt(high.read) / high.shot)
        assert 1.0 < math.sqrt(low.read) / low.shot < 5.0


def test_random_cameras_spread_as_the_fit_says() -> None:
    stream = rng(1)
    cameras = [noise.random_camera(stream) for _ in range(2000)]
    logs = np.log([camera.noise.shot for camera in cameras])
    assert np.median(logs) == pytest.approx(noise.SIDD_LEVELS.mean, abs=0.15)
    assert logs.min() >= math.log(noise.SIDD_LEVELS.low) - 1e-9
    assert logs.max() <= math.log(noise.SIDD_LEVELS.high) + 1e-9
    slope = np.polyfit(logs, np.log([camera.noise.read for camera in cameras]), 1)[0]
    assert slope == pytest.approx(noise.SIDD_LEVELS.read_slope, abs=0.05)
    for isp in (camera.isp for camera in cameras):
        assert np.allclose(np.sum(isp.matrix, axis=1), 1.0), "grays stay gray"
        assert isp.red_gain >= 1.0
        assert isp.blue_gain >= 1.0
    assert {camera.isp.demosaic for camera in cameras} == {"bilinear", "malvar"}
    assert len({camera.isp.phase for camera in cameras}) == 4


def test_random_pipelines_give_the_grain_that_real_pictures_have() -> None:
    """Lag-1 autocorrelation and correlations between channels, medians of SIDD's crops at sensor scale."""
    found = []
    for seed in range(40):
        isp = noise.random_isp(rng(seed))
        if isp.demosaic == "bilinear":
            continue
        clean = flat(100, 96)
        noisy, truth = noise.sensor_pair(clean, SensorNoise(1e-3, 1e-6), isp, rng(seed))
        error = noisy.astype(float) - truth
        error -= error.mean(axis=(0, 1))
        near = (error[:, 1:] * error[:, :-1]).mean(axis=(0, 1)) + (error[1:] * error[:-1]).mean(axis=(0, 1))
        mixed = np.corrcoef(error.reshape(-1, 3).T)
        found.append([*(near / 2 / error.var(axis=(0, 1))), mixed[0, 1], mixed[1, 2], mixed[0, 2]])
    real = (0.49, 0.34, 0.53, 0.29, 0.17, 0.55)
    assert np.median(found, axis=0) == pytest.approx(real, abs=0.1)


@pytest.mark.parametrize("sigma", [-1.0, math.nan, math.inf])
def test_a_negative_sigma_is_refused(sigma: float) -> None:
    with pytest.raises(UsageError, match=r"sigma .*Received: "):
        noise.gaussian(flat(1, 8), sigma, rng())


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match=r"\[0, 1\].*Received: "):
        noise.salt_and_pepper(flat(1, 8), share, rng())


@pytest.mark.parametrize("values", [(-1e-3, 0.0), (0.0, -1e-9), (math.nan, 0.0)])
def test_negative_sensor_noise_is_refused(values: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="at least 0"):
        SensorNoise(*values)


def test_an_unknown_sensor_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"imx999.*imx219, imx477, imx708, ov5647"):
        noise.sensor("imx999")


@pytest.mark.parametrize("gain", [0.0, 0.99, 64.1, -3.0, math.nan])
def test_a_gain_out_of_range_is_refused(gain: float) -> None:
    with pytest.raises(UsageError, match=r"1 to 64.*Received: "):
        noise.sensor("imx219", gain)


def test_an_array_that_is_not_an_image_is_refused() -> None:
    with pytest.raises(DataError, match="uint8"):
        noise.noisy_frame(np.zeros((8, 8, 3)), QUIET, Isp(), rng())  # type: ignore[arg-type]
    with pytest.raises(DataError, match="3x3"):
        noise.noisy_frame(flat(1, 2), QUIET, Isp(), rng())
