"""Temporal noise, by hand: smooth noise, motion, light that changes, repeated frames, copied blocks, cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.network.gate.harm import LOW, HarmGate
from edge.network.gate.temporal_noise import FIRST, TemporalNoiseEstimator
from quietcam.estimation import estimate_blind
from quietcam.image import Image
from quietcam.sensor.noise import gaussian
from quietcam.sensor.scenes import generate_scene

SHAPE = (240, 320, 3)
SCENE = generate_scene(300, 480, 7)


def view(number: int = 0, step: int = 0, scene: Image = SCENE) -> Image:
    """A frame of a camera that pans by ``step`` pixels a frame."""
    return scene[:240, number * step : number * step + 320].copy()


@lru_cache(maxsize=15)
def blotches(seed: int) -> NDArray[np.float32]:
    """Noise without fine grain, of standard deviation 1."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal(SHAPE, np.float32), (0, 0), 2.0)
    blotched: NDArray[np.float32] = noise / noise.std()
    return blotched


def smooth(clean: Image, sigma: float, seed: int) -> Image:
    """Frames with noise of this standard deviation without fine grain; it repeats after 15 frames."""
    return np.rint(np.clip(clean + blotches(seed % 15) * sigma, 0, 255)).astype(np.uint8)


def played(frames: Iterable[Image], network: Callable[[int, Image], Image]) -> tuple[list[float], list[bool], HarmGate]:
    """Shares, whether the network ran, and the gate at the end."""
    gate, shares, ran = HarmGate(stream=True), [], []
    for number, frame in enumerate(frames):
        ran.append(gate.look(frame))
        shares.append(gate.weigh(frame, network(number, frame)) if ran[-1] else 0.0)
    return shares, ran, gate


class TestEstimate:
    def test_white_noise_that_the_network_takes_away_is_found_to_the_step(self) -> None:
        noise = TemporalNoiseEstimator(SHAPE)
        clean = view()
        for seed in range(17):
            noise.look(gaussian(clean, 6.0, np.random.default_rng(seed)))
            noise.weigh(clean)
        inside = clean[(clean > 30) & (clean < 225)].size / clean.size
        assert inside > 0.7, "or clipping would take part of the noise"
        assert np.sqrt(noise.power) == pytest.approx(6.0, rel=0.1)

    def test_what_the_network_leaves_is_subtracted_and_a_half_more(self) -> None:
        """It halves the noise: of 6² = 36 a quarter is left, 9; 36 - 1.5 * 9 is told, less of the calmest places."""
        noise, gray = TemporalNoiseEstimator(SHAPE), np.full(SHAPE, 128, np.uint8)
        for seed in range(17):
            noisy = gaussian(gray, 6.0, np.random.default_rng(seed))
            noise.look(noisy)
            noise.weigh(np.rint(128 + (noisy.astype(float) - 128) / 2).astype(np.uint8))
        assert 17 < noise.power < 22.5

    def test_two_frames_of_eight_are_looked_at_and_the_first_three(self) -> None:
        noise, frame = TemporalNoiseEstimator(SHAPE), view()
        looked = [number for number in range(32) if (noise.look(frame) is not None, noise.weigh(None))[0]]
        assert looked == [0, 1, 2, 7, 8, 15, 16, 23, 24, 31]

    @pytest.mark.parametrize("shape", [(16, 16, 3), (16, 300, 1), (480, 16, 3), (1080, 1920, 3)])
    def test_any_shape_that_fits(self, shape: tuple[int, int, int]) -> None:
        assert TemporalNoiseEstimator.fits(shape)
        noise, gray = TemporalNoiseEstimator(shape), np.full(shape, 128, np.uint8)
        for seed in range(3):
            noise.look(gaussian(gray, 6.0, np.random.default_rng(seed)))
            noise.weigh(gray)
        assert np.sqrt(noise.power) == pytest.approx(6.0, rel=0.15)

    def test_a_side_below_16_does_not_fit(self) -> None:
        assert not TemporalNoiseEstimator.fits((15, 300, 3))


class TestGate:
    """The gate's answer to these frames."""

    @pytest.mark.parametrize("step", [0, 3])
    def test_smooth_noise_opens_it_though_single_frames_look_clean(self, step: int) -> None:
        frames = [smooth(view(i, step), 5.0, i) for i in range(40)]
        assert max(estimate_blind(frame).sigma for frame in frames) < LOW
        shares, _, gate = played(frames, lambda i, _: view(i, step))
        assert shares[2] > 0.9, "it needs three frames to know"
        assert min(shares[2:]) > 0.9
        assert gate.sigma is not None
        assert 3.0 < gate.sigma < 6.0

    def test_a_still_clean_picture_never_reaches_the_network(self) -> None:
        shares, ran, _ = played([view()] * 40, lambda _, frame: frame)
        assert not any(ran)
        assert shares == [0.0] * 40

    def test_a_clean_camera_that_pans_stays_untouched(self) -> None:
        """Frames of a network that blurs a little, as a network does that takes texture for noise."""
        frames = [view(i, 3) for i in range(50)]
        shares, ran, _ = played(frames, lambda _, frame: cv2.GaussianBlur(frame, (0, 0), 0.6))
        assert shares == [0.0] * 50
        assert 0 < sum(ran[FIRST:]) <= 2 * 47 / 8 + 2, "it has to ask the network, in two frames of eight"

    def test_lamps_that_flicker_are_no_noise(self) -> None:
        light = 1.0 + 0.1 * np.sin(np.arange(50) * 2.3)
        frames = [np.rint(np.clip(view() * by, 0, 255)).astype(np.uint8) for by in light]
        shares, _, gate = played(frames, lambda _, frame: cv2.GaussianBlur(frame, (0, 0), 0.6))
        assert shares == [0.0] * 50
        assert gate.sigma is not None
        assert gate.sigma < 1.0

    def test_lamps_that_flicker_hide_no_noise(self) -> None:
        light = 1.0 + 0.1 * np.sin(np.arange(50) * 2.3)
        clean = [np.rint(np.clip(view() * by, 0, 255)).astype(np.uint8) for by in light]
        shares, _, _ = played([smooth(frame, 5.0, i) for i, frame in enumerate(clean)], lambda i, _: clean[i])
        assert min(shares[FIRST:]) > 0.9

    @pytest.mark.parametrize("times", [2, 3, 5])
    def test_frames_that_repeat_the_last_one_change_nothing(self, times: int) -> None:
        shares, _, _ = played([smooth(view(), 5.0, i // times) for i in range(80)], lambda *_: view())
        assert min(shares[-30:]) > 0.9

    def test_a_clean_video_of_repeated_frames_stays_untouched(self) -> None:
        shares, _, _ = played([view(i // 3, 3) for i in range(60)], lambda _, frame: frame)
        assert shares == [0.0] * 60

    def test_blocks_that_a_codec_copies_hide_no_noise(self) -> None:
        """60 % of each frame repeat the last one, in blocks of 16x16."""
        rng, frames = np.random.default_rng(0), [smooth(view(), 5.0, 0)]
        for i in range(1, 50):
            copied = np.kron(rng.random((15, 20)) < 0.6, np.ones((16, 16), bool))[..., np.newaxis]
            frames.append(np.where(copied, frames[-1], smooth(view(), 5.0, i)))
        shares, _, _ = played(frames, lambda *_: view())
        assert min(shares[30:]) > 0.9

    def test_a_cut_to_another_noisy_scene_leaves_it_open(self) -> None:
        scenes = [view(), view(scene=generate_scene(300, 480, 3))]
        for cut in range(24, 32):
            shares, _, _ = played(
                [smooth(scenes[i >= cut], 5.0, i) for i in range(60)], lambda i, _, cut=cut: scenes[i >= cut]
            )
            assert min(shares[FIRST:]) > 0.7

    def test_noise_that_comes_and_goes_is_followed_by_an_eighth_a_frame(self) -> None:
        frames = [smooth(view(), 5.0, i) if 40 <= i < 100 else view() for i in range(200)]
        shares, ran, _ = played(frames, lambda *_: view())
        assert shares[:40] == [0.0] * 40
        assert max(shares[40:100]) > 0.98
        assert shares[-20:] == [0.0] * 20
        assert not any(ran[-20:])
        assert np.abs(np.diff(shares)).max() <= 0.126
        assert shares[40:90] == sorted(shares[40:90])

    def test_it_does_not_pump(self) -> None:
        """Half open, on noise of one strength, in which every 25th frame is a fresh one and the others copy much."""
        rng, frames = np.random.default_rng(0), [smooth(view(), 1.5, 0)]
        for i in range(1, 150):
            copied = np.kron(rng.random((15, 20)) < (0.9 if i % 25 else 0.0), np.ones((16, 16), bool))[..., np.newaxis]
            frames.append(np.where(copied, frames[-1], smooth(view(), 1.5, i)))
        shares, _, _ = played(frames, lambda *_: view())
        assert np.abs(np.diff(shares[FIRST:])).max() <= 0.126

    def test_another_size_starts_anew(self) -> None:
        gate = HarmGate(stream=True)
        for i in range(9):
            noisy = smooth(view(), 5.0, i)
            if gate.look(noisy):
                gate.weigh(noisy, view())
        assert gate.look(noisy)
        assert not gate.look(view()[:120])

    def test_single_pictures_have_no_time(self) -> None:
        gate = HarmGate()
        assert not any(gate.look(smooth(view(), 5.0, i)) for i in range(10))

    def test_a_gate_that_follows_another_does_not_flash(self) -> None:
        """After a change of the model the share stays the same, and the noise is judged again."""
        _, _, first = played([smooth(view(), 5.0, i) for i in range(30)], lambda *_: view())
        gate = HarmGate(stream=True)
        gate.follow(first)
        shares = []
        for i in range(120):
            noisy = smooth(view(), 5.0, i) if i < 9 else view()
            shares.append(gate.weigh(noisy, view()) if gate.look(noisy) else 0.0)
        assert shares[:9] == [1.0] * 9
        assert shares[-1] == 0.0
        assert np.abs(np.diff(shares)).max() <= 0.126
