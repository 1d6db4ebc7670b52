"""Traits of cameras: each against what it should do to a flat field, and off by default."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import SensorCamera, SensorNoise, random_camera
from quietcam.sensor.traits import Traits, random_traits

NOISE = SensorNoise(2e-3, 1e-5)
PLAIN = Isp(1.0, 1.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def flat(level: int, channels: int = 1, size: int = 256) -> Image:
    return np.full((size, size, channels), level, np.uint8)


def spread(traits: Traits, level: int = 128) -> float:
    return float(SensorCamera(NOISE, PLAIN, traits).expose(flat(level), rng()).std())


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_off_they_change_nothing(seed: int) -> None:
    scene = rng(seed).integers(0, 256, (12, 14, 3), np.uint8)
    with_them = SensorCamera(NOISE, PLAIN, Traits()).expose(scene, rng(seed))
    assert np.array_equal(with_them, SensorCamera(NOISE, PLAIN).expose(scene, rng(seed)))
    raw = rng(seed).random((6, 6), np.float32)
    assert np.array_equal(Traits().convert(Traits().leak(raw)), raw)


def test_binning_averages_four_sites() -> None:
    assert spread(Traits(binning=2)) == pytest.approx(spread(Traits()) / 2.0, rel=0.03)


def test_rows_share_their_noise() -> None:
    quiet = SensorCamera(SensorNoise(0.0, 0.0), PLAIN, Traits(row=0.01))
    frame = quiet.expose(flat(128), rng()).astype(float)[..., 0]
    assert (frame == frame[:, :1]).all()
    light = ((128 / 255 + 0.055) / 1.055) ** 2.4
    slope = 1.055 / 2.4 * light ** (1 / 2.4 - 1) * 255
    assert frame[:, 0].std() == pytest.approx(0.01 * slope, rel=0.15)


def test_hot_pixels_stay_with_the_camera() -> None:
    quiet = SensorNoise(0.0, 0.0)
    frames = [
        SensorCamera(quiet, PLAIN, Traits(hot=0.01, serial=serial)).expose(flat(60), rng(seed))
        for serial, seed in ((1, 0), (1, 5), (2, 0))
    ]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])
    hot = frames[0][..., 0] != 60
    assert hot.mean() == pytest.approx(0.01, abs=5 * math.sqrt(0.01 / hot.size))
    assert frames[0][hot].min() > 60


@pytest.mark.parametrize("bits", [10, 12])
@given(st.floats(0.0, 1.0, width=32))
def test_a_converter_rounds_to_its_steps(bits: int, value: float) -> None:
    stepped = float(Traits(bits=bits).convert(np.full((1, 1), value, np.float32))[0, 0])
    assert stepped * (2**bits - 1) == pytest.approx(round(stepped * (2**bits - 1)), abs=1e-3)
    assert abs(stepped - value) <= 0.5 / (2**bits - 1) + 1e-6
    assert np.array_equal(Traits(bits=bits).convert(np.array([[0, 1]], np.float32)), [[0, 1]])


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_stays_near_and_loses_detail(channels: int) -> None:
    scene = flat(120, channels, 64)
    noisy = SensorCamera(NOISE, PLAIN, Traits()).expose(scene, rng())
    fine, coarse = (SensorCamera(NOISE, PLAIN, Traits(jpeg=q)).expose(scene, rng()) for q in (97, 40))
    errors = [float(np.abs(image.astype(int) - noisy).mean()) for image in (fine, coarse)]
    assert fine.shape == coarse.shape == scene.shape
    assert 0.0 < errors[0] < errors[1] < 12.0


def test_the_ground_truth_has_none() -> None:
    scene = flat(100, 3, 32)
    everything = SensorCamera(NOISE, PLAIN, Traits(2, 0.01, 0.05, 10, 50))
    assert np.array_equal(everything.clean(scene), SensorCamera(NOISE, PLAIN).clean(scene))


def test_the_crowd_has_each_of_them() -> None:
    stream = rng()
    drawn = [random_traits(stream, 0.01) for _ in range(3000)]
    shares = {
        "binning": (np.mean([t.binning == 2 for t in drawn]), 1 / 8),
        "row": (np.mean([t.row > 0 for t in drawn]), 1 / 6),
        "hot": (np.mean([t.hot > 0 for t in drawn]), 1 / 10),
        "jpeg": (np.mean([t.jpeg is not None for t in drawn]), 1 / 6),
        "ten bits": (np.mean([t.bits == 10 for t in drawn]), 1 / 2),
    }
    for name, (share, wanted) in shares.items():
        assert share == pytest.approx(wanted, abs=4 * math.sqrt(wanted / 3000)), name
    assert random_camera(rng(4)).traits == random_camera(rng(4)).traits


@pytest.mark.parametrize(
    "wrong", [{"binning": 3}, {"row": -0.1}, {"row": math.nan}, {"hot": 1.5}, {"bits": 4}, {"jpeg": 0}, {"serial": -1}]
)
def test_impossible_traits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"Received: {next(iter(wrong.values()))}"):
        Traits(**wrong)


def test_columns_stay_in_every_frame() -> None:
    camera = SensorCamera(SensorNoise(0.0, 0.0), PLAIN, Traits(column=0.02, serial=3))
    frames = [camera.expose(flat(128), rng(seed)) for seed in (0, 1)]
    assert np.array_equal(*frames)
    assert (frames[0] == frames[0][:1]).all()
    assert frames[0][0].std() > 1.0
    other = SensorCamera(SensorNoise(0.0, 0.0), PLAIN, Traits(column=0.02, serial=4))
    assert not np.array_equal(other.expose(flat(128), rng()), frames[0])


def test_uneven_sites_differ_by_a_share_of_the_light_and_stay() -> None:
    camera = SensorCamera(SensorNoise(0.0, 0.0), Isp(1.0, 1.0, tone="linear"), Traits(uneven=0.02))
    bright, dark = (camera.expose(flat(level), rng()).astype(float) for level in (200, 50))
    assert bright.std() == pytest.approx(0.02 * 200, rel=0.1)
    assert dark.std() == pytest.approx(0.02 * 50, rel=0.1)
    assert np.array_equal(camera.expose(flat(50), rng(9)), dark)


def test_lamps_move_bands_of_rows_over_the_frame() -> None:
    camera = SensorCamera(SensorNoise(0.0, 0.0), Isp(1.0, 1.0, tone="linear"), Traits(lamps=0.1))
    source = rng()
    first, second = (camera.expose(flat(100), source).astype(float)[..., 0] for _ in range(2))
    assert (first == first[:, :1]).all()
    assert 100 * (1 - 0.1) - 1 <= first.min() < 95
    assert 105 < first.max() <= 100 * (1 + 0.1) + 1
    assert not np.array_equal(first, second)
