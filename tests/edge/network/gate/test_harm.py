"""The do-no-harm gate: by hand, on generated scenes with the model that ships, and on real pictures if present."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.models import resolve_model
from edge.network.denoiser import Denoiser
from edge.network.gate.harm import HIGH, LOW, HarmGate, blend, check_strength
from quietcam.data.pictures.files import read_picture
from quietcam.data.pictures.folder import list_pictures
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.noise import gaussian, salt_and_pepper
from quietcam.sensor.scenes import generate_scene, make_pair
from tests.small_models import picture

REAL = Path(__file__).parents[4].parent / "shared" / "data"


def flat(sigma: float, seed: int = 0, size: int = 96) -> Image:
    """A gray field with white noise of a known strength."""
    return gaussian(np.full((size, size, 3), 120, np.uint8), sigma, np.random.default_rng(seed))


class TestAlone:
    """Each picture is judged alone."""

    def test_a_clean_picture_does_not_reach_the_network(self) -> None:
        gate = HarmGate()
        assert not gate.look(flat(0.0))
        assert gate.sigma == 0.0
        assert not gate.look(flat(LOW * 0.8))

    def test_noise_opens_it_for_a_network_that_takes_noise_away(self) -> None:
        gate, noisy = HarmGate(), flat(12.0)
        assert gate.look(noisy)
        assert gate.sigma == pytest.approx(12.0, rel=0.1)
        assert gate.weigh(noisy, np.full_like(noisy, 120)) == 1.0

    def test_a_network_that_takes_away_more_comes_in_by_the_share_that_is_best(self) -> None:
        """Noise of 12 and an error of 20: the best blend, by trying all of them."""
        gate, noisy = HarmGate(), flat(12.0)
        harmed = flat(20.0, seed=1)
        assert gate.look(noisy)
        share = gate.weigh(noisy, harmed)
        tried = np.linspace(0, 1, 101)
        errors = [np.square(noisy + each * (harmed - noisy.astype(float)) - 120).mean() for each in tried]
        assert 0.0 < share < 1.0
        assert share == pytest.approx(tried[np.argmin(errors)], abs=0.04)

    def test_salt_and_pepper_open_it_and_a_few_white_pixels_do_not(self) -> None:
        """Lights and dead pixels are no reason to touch a clean picture."""
        clean, rng = generate_scene(240, 320, 7), np.random.default_rng(0)
        gate = HarmGate()
        assert not gate.look(clean)
        assert not gate.look(salt_and_pepper(clean, 0.001, rng))
        noisy = salt_and_pepper(clean, 0.05, rng)
        assert gate.look(noisy)
        assert gate.weigh(noisy, clean) == 1.0

    def test_a_small_excess_is_taken_for_an_estimate_that_is_short(self) -> None:
        gate, noisy = HarmGate(), flat(12.0)
        assert gate.look(noisy)
        shares = [gate.weigh(noisy, flat(float(error), seed=1)) for error in range(0, 40, 2)]
        assert shares == sorted(shares, reverse=True)
        assert shares[4] == 1.0  # an error of 8: the mean square of the change is 1.44 times the noise's
        assert np.abs(np.diff(shares)).max() < 0.3

    def test_between_the_levels_it_opens_by_and_by(self) -> None:
        shares = []
        for sigma in np.linspace(LOW, HIGH, 7):
            gate, noisy = HarmGate(), flat(float(sigma), size=256)
            shares.append(gate.weigh(noisy, np.full_like(noisy, 120)) if gate.look(noisy) else 0.0)
        assert shares == sorted(shares)
        assert shares[0] < 0.2
        assert shares[3] == pytest.approx(0.5, abs=0.15)
        assert shares[-1] > 0.8

    def test_what_is_too_small_to_judge_goes_through_the_network(self) -> None:
        for size in ((1, 1), (7, 90), (90, 1)):
            gate, noisy = HarmGate(), picture(*size)
            assert gate.look(noisy)
            assert gate.sigma is None
            assert gate.weigh(noisy, np.zeros_like(noisy)) == 1.0

    def test_gray_pictures_have_one_too(self) -> None:
        gate = HarmGate()
        assert gate.look(flat(12.0)[..., :1])
        assert gate.sigma == pytest.approx(12.0, rel=0.15)

    @pytest.mark.parametrize("levels", [(-1, 4), (4, 4), (5, 4), (1, math.inf), (math.nan, 3)])
    def test_impossible_levels_are_refused(self, levels: tuple[float, float]) -> None:
        with pytest.raises(UsageError, match="the lower first"):
            HarmGate(False, *levels)


class TestStream:
    """Frames of one camera: the share moves smoothly."""

    def shares(self, gate: HarmGate, sigmas: list[float]) -> list[float]:
        shares = []
        for seed, sigma in enumerate(sigmas):
            noisy = flat(sigma, seed)
            shares.append(gate.weigh(noisy, np.full_like(noisy, 120)) if gate.look(noisy) else 0.0)
        return shares

    def test_the_first_frame_is_judged_at_once(self) -> None:
        assert self.shares(HarmGate(stream=True), [12.0]) == [1.0]
        assert self.shares(HarmGate(stream=True), [0.0]) == [0.0]

    def test_it_closes_and_opens_smoothly_and_then_stays(self) -> None:
        shares = self.shares(HarmGate(stream=True), [12.0] * 5 + [0.5] * 70 + [12.0] * 60)
        assert shares[:5] == [1.0] * 5
        assert shares[70:75] == [0.0] * 5
        assert shares[-5:] == [1.0] * 5
        assert np.abs(np.diff(shares)).max() < 0.14
        closing, opening = shares[4:75], shares[75:]
        assert closing == sorted(closing, reverse=True)
        assert opening == sorted(opening)

    def test_between_the_levels_it_does_not_flicker(self) -> None:
        settled = self.shares(HarmGate(stream=True), [(LOW + HIGH) / 2] * 60)[20:]
        assert np.abs(np.diff(settled)).max() < 0.03
        assert 0.2 < np.mean(settled) < 0.8

    def test_another_frame_size_starts_anew(self) -> None:
        gate = HarmGate(stream=True)
        self.shares(gate, [12.0] * 3)
        assert not gate.look(flat(0.0, size=64))


class TestBlend:
    def test_the_ends_touch_no_pixel(self) -> None:
        noisy, denoised = picture(20, 30, seed=0), picture(20, 30, seed=1)
        kept = denoised.copy()
        blend(noisy, denoised, 1.0)
        np.testing.assert_array_equal(denoised, kept)
        blend(noisy, denoised, 0.0)
        np.testing.assert_array_equal(denoised, noisy)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.77])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_between_them_it_is_the_formula_rounded(self, share: float, channels: int) -> None:
        noisy, denoised = picture(21, 30, channels, seed=0), picture(21, 30, channels, seed=1)
        noisy.flags.writeable = False
        wanted = noisy + share * (denoised - noisy.astype(float))
        blend(noisy, denoised, share)
        assert np.abs(denoised - wanted).max() <= 0.5 + 1e-4

    def test_a_half_of_a_larger_picture_is_blended_in_place(self) -> None:
        noisy, both = picture(20, 30, seed=0), picture(20, 60, seed=1)
        left, right = both[:, :30].copy(), both[:, 30:]
        wanted = (noisy + right.astype(float)) / 2
        blend(noisy, right, 0.5)
        assert np.abs(both[:, 30:] - wanted).max() <= 0.5
        np.testing.assert_array_equal(both[:, :30], left)

    @pytest.mark.parametrize("strength", [-0.01, 1.01, math.nan, math.inf])
    def test_a_strength_out_of_range_is_wrong_usage(self, strength: float) -> None:
        with pytest.raises(UsageError, match=r"0 \(the frame stays unchanged\) to 1.*Received.*Remedy"):
            check_strength(strength)


@pytest.fixture(scope="module")
def gated() -> Iterator[Denoiser]:
    with Denoiser(resolve_model("demo_256x256_int8"), 1, gate=True) as denoiser:
        yield denoiser


@pytest.fixture(scope="module")
def plain() -> Iterator[Denoiser]:
    with Denoiser(resolve_model("demo_256x256_int8"), 1) as denoiser:
        yield denoiser


def kept(denoiser: Denoiser, clean: Image) -> float:
    """dB of the output against a clean input; 100 for an untouched one."""
    return min(psnr(denoiser.denoise(clean), clean), 100.0)


class TestWithTheModelThatShips:
    def test_generated_clean_scenes_keep_45_db_each(self, gated: Denoiser, plain: Denoiser) -> None:
        scenes = [generate_scene(256, 256, seed) for seed in range(12)]
        assert min(kept(gated, scene) for scene in scenes) >= 45
        assert min(kept(plain, scene) for scene in scenes) < 40, "without a gate they are harmed: the gate does it"

    def test_noisy_scenes_get_all_of_the_gain(self, gated: Denoiser, plain: Denoiser) -> None:
        losses = []
        for seed in range(12):
            noisy, clean = make_pair(seed, 256, band=(20, 28))
            with_gate, without = psnr(gated.denoise(noisy), clean), psnr(plain.denoise(noisy), clean)
            assert with_gate > psnr(noisy, clean) + 3
            losses.append(without - with_gate)
        assert np.mean(losses) < 0.1
        assert max(losses) < 1

    def test_a_stream_keeps_clean_frames_too(self) -> None:
        clean = generate_scene(256, 256, 3)
        with Denoiser(resolve_model("demo_256x256_int8"), 1, gate=True, stream=True) as denoiser:
            for _ in range(3):
                np.testing.assert_array_equal(denoiser.denoise(clean), clean)
            assert denoiser.noise_sigma is not None
            assert denoiser.noise_sigma < 1


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real pictures at {REAL}")
class TestOnRealPictures:
    def test_native_clean_sides_keep_45_db_each(self, gated: Denoiser) -> None:
        for path in list_pictures(REAL / "sidd_native/valid/clean"):
            assert kept(gated, read_picture(path)) >= 45, path.name

    def test_aliased_clean_sides_keep_40_db_in_the_mean(self, gated: Denoiser) -> None:
        paths = list_pictures(REAL / "sidd_small_256/valid/clean")
        assert np.mean([min(kept(gated, read_picture(path)), 60.0) for path in paths]) >= 40

    def test_noisy_sides_lose_nothing_to_the_gate(self, gated: Denoiser, plain: Denoiser) -> None:
        for folder in ("sidd_native/valid", "sidd_small_256/valid"):
            for path in list_pictures(REAL / folder / "noisy"):
                noisy, clean = read_picture(path), read_picture(path.parent.parent / "clean" / path.name)
                assert psnr(gated.denoise(noisy), clean) > psnr(plain.denoise(noisy), clean) - 0.1, path.name
