"""Patterns and borders of known size are found as large as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.network.quality.patterns import border_of, denoiser_of, phase_error, phases
from edge.network.interpreter import Interpreter
from tests.small_models import expected, picture

FLAT = np.full((64, 64, 3), 40, np.uint8)
PATTERN = np.array([[0.5, -0.25], [-0.125, -0.125]])  # its mean is 0
RMS = np.sqrt((0.5**2 + 0.25**2 + 2 * 0.125**2) / 4 / 3)  # of one channel of three


def woven(noisy: np.ndarray) -> np.ndarray:
    """Adds the pattern to green, and an offset to all."""
    error = np.zeros(noisy.shape) + 7.0
    error[..., 1] += np.tile(PATTERN, (noisy.shape[0] // 2, noisy.shape[1] // 2))
    return noisy + error


def test_phases_are_the_means_at_each_place_of_a_block() -> None:
    found = phases(woven(FLAT) - FLAT)
    np.testing.assert_allclose(found[..., 1], PATTERN, atol=1e-12)
    np.testing.assert_allclose(found[..., [0, 2]], 0.0, atol=1e-12)


def test_a_known_pattern_gives_its_size() -> None:
    noise = np.random.default_rng(0).integers(-9, 10, (4, 64, 64, 3))
    pairs = [((FLAT + each).astype(np.uint8), FLAT) for each in noise]
    found = phase_error(lambda _: woven(FLAT), pairs)
    assert found.largest == pytest.approx(0.5)
    assert found.rms == found.single == pytest.approx(RMS)
    assert found.uncertain == pytest.approx(0.0, abs=1e-12)


def test_signs_that_change_from_picture_to_picture_are_no_pattern() -> None:
    signs = (sign for sign in [1.0, -1.0] * 8 for _ in range(4))  # each picture is denoised at four places
    found = phase_error(lambda noisy: noisy + next(signs) * (woven(FLAT) - FLAT - 7.0), [(FLAT, FLAT)] * 16)
    assert found.largest == pytest.approx(0.0, abs=1e-12)
    assert found.single == pytest.approx(RMS)
    assert found.uncertain == pytest.approx(RMS / 4)


def test_a_pattern_that_the_camera_has_is_not_the_networks() -> None:
    def passes_on(noisy: np.ndarray) -> np.ndarray:
        return woven(noisy) - 7.0

    camera = np.clip(FLAT + 40 * np.tile(PATTERN, (32, 32))[..., None], 0, 255).astype(np.uint8)
    assert np.abs(phases(camera.astype(float) - FLAT)).max() == pytest.approx(20.0)
    found = phase_error(passes_on, [(camera, FLAT)])
    assert (found.largest, found.single) == (pytest.approx(0.5), pytest.approx(RMS))


def test_the_border_is_ignored_by_the_pattern() -> None:
    def at_border(noisy: np.ndarray) -> np.ndarray:
        shown = noisy.astype(np.float64)
        shown[:8:2] += 100.0
        return shown

    assert phase_error(at_border, [(FLAT, FLAT)]).largest == 0.0


def test_each_side_of_the_border_is_compared_with_the_inside() -> None:
    error = np.full((64, 64, 3), 2.0)
    error[:2], error[-2:], error[:, :2], error[:, -2:] = 4.0, 6.0, 2.0, 8.0
    border = border_of(lambda noisy: noisy + error, [(FLAT, FLAT)])
    assert (border.top, border.bottom, border.left, border.right) == pytest.approx((4.0, 9.0, 1.0, 16.0))
    assert border.inside == pytest.approx(10 * np.log10(255**2 / 4))
    assert border.whole == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)))


def test_a_float_network_is_measured_without_rounding(models: Path) -> None:
    image = picture(32, 32)
    with Interpreter(models / "small_32x32_float32.tflite", 1) as interpreter:
        found = denoiser_of(interpreter)(image)
    np.testing.assert_allclose(found, expected(image, models), atol=1e-3)


@pytest.mark.parametrize("stem", ["small_32x32_int8", "small_32x32_uint8"])
def test_others_give_whole_pixels(models: Path, stem: str) -> None:
    image = picture(32, 32)
    pixels = np.empty_like(image)
    with Interpreter(models / f"{stem}.tflite", 1) as interpreter:
        interpreter.run(image, pixels)
        np.testing.assert_array_equal(denoiser_of(interpreter)(image), pixels)
