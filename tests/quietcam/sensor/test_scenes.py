"""Generated scenes and pairs: repeatable, varied, with flat and fine parts, and within the PSNR asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.sensor import noise
from quietcam.sensor.glyphs import GLYPHS, word
from quietcam.sensor.scenes import generate_scene, make_pair
from quietcam.sensor.traits import Traits


@pytest.fixture(scope="module")
def scenes() -> list[Image]:
    return [generate_scene(128, 128, seed) for seed in range(48)]


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(0, 2**40), st.sampled_from([1, 3]))
def test_any_size_and_seed_gives_a_scene_that_repeats(height: int, width: int, seed: int, channels: int) -> None:
    scene = generate_scene(height, width, seed, channels)
    assert scene.shape == (height, width, channels)
    assert scene.dtype == np.uint8
    assert np.array_equal(scene, generate_scene(height, width, seed, channels))


def test_seeds_give_different_scenes(scenes: list[Image]) -> None:
    assert len({scene.tobytes() for scene in scenes}) == len(scenes)


def test_some_are_dark_and_some_bright(scenes: list[Image]) -> None:
    means = np.array([scene.mean() for scene in scenes])
    assert 0.1 < (means < 60).mean() < 0.6
    assert (means > 110).mean() > 0.1
    assert max(scene.max() for scene in scenes) == 255
    assert min(scene.min() for scene in scenes) < 5


def steps(scene: Image) -> NDArray[np.float64]:
    """The largest step to the right or down, per pixel."""
    gray = scene.astype(int).mean(axis=2)
    right, down = np.abs(np.diff(gray, axis=1))[:-1], np.abs(np.diff(gray, axis=0))[:, :-1]
    larger: NDArray[np.float64] = np.maximum(right, down)
    return larger


def test_flat_parts_and_fine_parts_are_both_there(scenes: list[Image]) -> None:
    every = np.concatenate([steps(scene).ravel() for scene in scenes])
    assert (every < 1.0).mean() > 0.3, "flat areas"
    assert (every > 8.0).mean() > 0.04, "edges and texture"
    assert any((steps(scene) < 1.0).mean() > 0.7 for scene in scenes), "whole scenes that are nearly flat"


def test_edges_are_soft_as_behind_a_lens() -> None:
    """A lens of half a pixel or more leaves no hard steps: second differences stay below those of noise."""
    for seed in range(10):
        gray = generate_scene(128, 128, seed).astype(float).mean(axis=2)
        neighbors = np.abs(np.diff(gray, axis=1)).mean()
        saw = np.abs(gray[:, 2:] - 2.0 * gray[:, 1:-1] + gray[:, :-2]).mean()
        assert saw < 1.3 * neighbors  # white noise has 1.73


def test_channels_go_together_as_in_natural_pictures(scenes: list[Image]) -> None:
    pixels = np.concatenate([scene.reshape(-1, 3) for scene in scenes]).astype(float)
    correlation = np.corrcoef(pixels.T)
    assert correlation[0, 1] > 0.75
    assert correlation[1, 2] > 0.75
    assert correlation[0, 2] > 0.5
    spread = pixels.max(axis=1) - pixels.min(axis=1)
    assert np.median(spread) < 50, "muted, most of them"
    assert (spread > 100).mean() > 0.005, "some are not"


def test_power_falls_with_frequency_like_natural_pictures(scenes: list[Image]) -> None:
    """Amplitude about 1 / f, power about 1 / f^2 (Field 1987); the lens makes it a little steeper."""
    power = np.zeros((128, 65))
    window = np.hanning(128)[:, np.newaxis] * np.hanning(128)
    for scene in scenes:
        gray = scene.astype(float).mean(axis=2)
        power += np.abs(np.fft.rfft2((gray - gray.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(128)[:, np.newaxis], np.fft.rfftfreq(128))
    rings = [(low, low * 1.4) for low in (0.03, 0.045, 0.065, 0.09, 0.13)]
    levels = [power[(radius >= low) & (radius < high)].mean() for low, high in rings]
    slope = np.polyfit(np.log([low for low, _ in rings]), np.log(levels), 1)[0]
    assert -3.6 < slope < -1.8


@pytest.mark.parametrize(("height", "width"), [(270, 480), (1536, 100), (40, 1100)])
def test_frames_of_any_shape_are_filled(height: int, width: int) -> None:
    scene = generate_scene(height, width, 7)
    halves = np.array_split(scene, 2, axis=0) + np.array_split(scene, 2, axis=1)
    assert all(np.unique(half).size > 20 for half in halves)


def test_words_are_drawn_as_written() -> None:
    rows = ["".join("#" if ink else "." for ink in row) for row in word("L1")]
    assert rows == [
        "#.......#..",
        "#......##..",
        "#.......#..",
        "#.......#..",
        "#.......#..",
        "#.......#..",
        "#####..###.",
    ]
    assert all(word(letter).shape == (7, 5) and word(letter).any() for letter in GLYPHS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((8, 64, 0), "8x64"), ((64, 64, 0, 2), "Received: 2"), ((64, 64, -1), "Received: -1")],
)
def test_wrong_scenes_are_refused(arguments: tuple[int, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        generate_scene(*arguments)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("band", [(20.0, 26.0), (30.0, 31.0)])
def test_pairs_lie_in_their_band(band: tuple[float, float], channels: int) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="needs the extra 'dev'")
    reached = []
    for seed in range(12):
        noisy, clean = make_pair(seed, 64, channels=channels, band=band)
        assert noisy.shape == clean.shape == (64, 64, channels)
        reached.append(float(metrics.peak_signal_noise_ratio(clean, noisy, data_range=255)))
    assert band[0] <= min(reached)
    assert max(reached) <= band[1]
    assert max(reached) - min(reached) > 0.4 * (band[1] - band[0]), "spread over the band"


def test_pairs_repeat_and_share_scene_and_pipeline() -> None:
    noisy, clean = make_pair(3, 64)
    again = make_pair(3, 64)
    assert np.array_equal(noisy, again[0])
    assert np.array_equal(clean, again[1])
    noiseless = make_pair(3, 64, averaged=False)[1]
    assert np.array_equal(noiseless, make_pair(3, 64, averaged=False, band=(20.0, 26.0))[1])
    assert not np.array_equal(clean, make_pair(4, 64)[1])


def test_levels_set_how_noisy_pairs_are() -> None:
    silent = noise.Levels(
        mean=-30.0, spread=0.0, low=1e-13, high=1e-12, read_at_one=-30.0, read_slope=0.0, read_scatter=0.0
    )
    noisy, clean = make_pair(5, 64, levels=silent, traits=Traits())
    assert np.abs(noisy.astype(int) - clean).max() <= 1


@pytest.mark.parametrize("band", [(26.0, 20.0), (20.0, 20.0), (0.0, 10.0), (40.0, 80.0)])
def test_a_band_that_is_none_is_refused(band: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="5 and 50 dB"):
        make_pair(0, 64, band=band)
