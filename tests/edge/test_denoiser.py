"""Frames of any size: tiled against whole, and both against the networks' formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.denoiser import Denoiser
from quietcam.errors import DataError, UsageError
from tests.edge.conftest import expected, picture


def test_tiled_equals_whole_exactly(small: Path, models: Path) -> None:
    noisy = picture(64, 80)
    with Denoiser(small) as tiled, Denoiser(models / "small_80x64_int8.tflite") as whole:
        assert tiled.tiles(64, 80) > 1
        assert whole.tiles(64, 80) == 1
        np.testing.assert_array_equal(tiled.denoise(noisy), whole.denoise(noisy))


def test_tiled_equals_the_formula(small: Path, models: Path) -> None:
    noisy = picture(100, 134)
    with Denoiser(small) as denoiser:
        denoised = denoiser.denoise(noisy)
    # The last rows and columns are mirrored, where the formula has zeros.
    assert np.abs(denoised - expected(noisy, models))[:-4, :-4].max() <= 2


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_32x32_float32"])
@pytest.mark.parametrize("size", [(32, 32), (1, 1), (1, 90), (90, 1), (31, 33), (7, 64), (65, 97)])
def test_every_size_comes_back(models: Path, name: str, size: tuple[int, int]) -> None:
    noisy = picture(*size)
    with Denoiser(models / f"{name}.tflite") as denoiser:
        denoised = denoiser.denoise(noisy)
    assert denoised.shape == noisy.shape
    assert denoised.dtype == np.uint8
    # The networks add a small residual: what comes back is still the picture.
    assert np.corrcoef(denoised.ravel(), noisy.ravel())[0, 1] > 0.8 or noisy.size < 10


def test_a_flat_field_has_no_seam(small: Path) -> None:
    with Denoiser(small) as denoiser:
        denoised = denoiser.denoise(np.full((100, 130, 3), 120, np.uint8))
    inner = denoised[4:-4, 4:-4]
    block = inner[:2, :2]
    np.testing.assert_array_equal(inner, np.tile(block, (46, 61, 1)))


def test_a_smaller_overlap_is_allowed_and_has_a_small_error(small: Path, models: Path) -> None:
    noisy = picture(64, 80)
    with Denoiser(small, overlap=2) as tiled, Denoiser(models / "small_80x64_int8.tflite") as whole:
        difference = np.abs(tiled.denoise(noisy).astype(int) - whole.denoise(noisy))
    assert 0 < difference.max() < 128
    assert (difference > 2).mean() < 0.2


def test_an_impossible_overlap_is_wrong_usage(small: Path) -> None:
    with Denoiser(small, overlap=32) as denoiser, pytest.raises(UsageError, match="overlap"):
        denoiser.denoise(picture(64, 80))


def test_grayscale_through_rgb_is_three_equal_channels_in(small: Path) -> None:
    gray = picture(40, 50, channels=1)
    with Denoiser(small) as denoiser:
        np.testing.assert_array_equal(denoiser.denoise(gray), denoiser.denoise(np.repeat(gray, 3, axis=2)))


@pytest.mark.parametrize("size", [(32, 32), (40, 50)])
def test_rgb_through_grayscale_goes_channel_by_channel(models: Path, size: tuple[int, int]) -> None:
    noisy = picture(*size)
    with Denoiser(models / "gray_32x32_int8.tflite") as denoiser:
        denoised = denoiser.denoise(noisy)
        for channel in range(3):
            one = np.ascontiguousarray(noisy[..., channel : channel + 1])
            np.testing.assert_array_equal(denoised[..., channel : channel + 1], denoiser.denoise(one))


def test_the_frame_size_may_change_on_the_way(small: Path) -> None:
    with Denoiser(small) as denoiser:
        first = denoiser.denoise(picture(40, 50))
        denoiser.denoise(picture(70, 33))
        np.testing.assert_array_equal(denoiser.denoise(picture(40, 50)), first)


def test_out_is_written(small: Path) -> None:
    noisy = picture(40, 50)
    out = np.empty_like(noisy)
    with Denoiser(small) as denoiser:
        assert denoiser.denoise(noisy, out) is out
        np.testing.assert_array_equal(out, denoiser.denoise(noisy))


def test_what_is_no_image_is_refused(small: Path) -> None:
    with Denoiser(small) as denoiser:
        for wrong in (picture(8, 8, 4), picture(8, 8)[..., 0], picture(8, 8).astype(np.float32)):
            with pytest.raises(DataError, match="A frame must be uint8"):
                denoiser.denoise(wrong)
