"""Scale and zero point, compared with the formula and with the definition of the pixel identity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quietcam.errors import UsageError
from quietcam.tflite.quantization import PIXELS, Quantization, int8_to_pixels, pixels_to_int8

EVERY_PIXEL = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)


def test_quantize_by_hand() -> None:
    codes = Quantization(0.5, 3).quantize([-100.0, -0.5, 0.0, 0.24, 0.26, 1.0, 100.0])
    assert codes.dtype == np.int8
    assert codes.tolist() == [-128, 2, 3, 3, 4, 5, 127]


def test_dequantize_by_hand() -> None:
    real = Quantization(0.5, 3).dequantize(np.array([-128, 3, 127], np.int8))
    assert real.dtype == np.float32
    assert real.tolist() == [-65.5, 0.0, 62.0]


def test_range_by_hand() -> None:
    assert Quantization(0.5, 3).range == (-65.5, 62.0)


@given(
    scale=st.floats(1e-6, 1e3),
    zero_point=st.integers(-128, 127),
    codes=arrays.arrays(np.int8, st.integers(1, 50)),
)
def test_codes_survive_the_round_trip(scale: float, zero_point: int, codes: np.ndarray) -> None:
    quantization = Quantization(scale, zero_point)
    np.testing.assert_array_equal(quantization.quantize(quantization.dequantize(codes)), codes)


@given(scale=st.floats(1e-6, 1e3), zero_point=st.integers(-128, 127), share=st.floats(0, 1))
def test_what_has_a_code_moves_by_half_a_step_at_most(scale: float, zero_point: int, share: float) -> None:
    quantization = Quantization(scale, zero_point)
    low, high = quantization.range
    real = low + share * (high - low)
    back = float(quantization.dequantize(quantization.quantize([real]))[0])
    assert abs(back - real) <= scale * 0.501


def test_pixel_identity_is_uint8_over_255() -> None:
    codes = pixels_to_int8(EVERY_PIXEL)
    np.testing.assert_array_equal(codes, PIXELS.quantize(EVERY_PIXEL / 255.0))
    np.testing.assert_array_equal(codes.astype(int), EVERY_PIXEL.astype(int) - 128)
    np.testing.assert_array_equal(int8_to_pixels(codes), EVERY_PIXEL)


def test_conversions_write_where_they_are_told() -> None:
    tensor = np.zeros((1, *EVERY_PIXEL.shape), np.int8)
    assert pixels_to_int8(EVERY_PIXEL, tensor[0]).base is tensor
    assert tensor.min() == -128
    assert tensor.max() == 127
    image = np.zeros_like(EVERY_PIXEL)
    assert int8_to_pixels(tensor[0], image) is image
    np.testing.assert_array_equal(image, EVERY_PIXEL)


@pytest.mark.parametrize(
    ("scale", "zero_point", "expected"),
    [
        (1 / 255, -128, True),
        (float(np.float32(1 / 255)), -128, True),
        (0.003921567928, -128, True),  # 1/255 rounded twice, as other converters write it
        (0.0039215288, -128, False),  # what a badly annotated graph comes out with
        (1 / 256, -128, False),
        (1 / 255, -127, False),
        (1 / 255, 0, False),
    ],
)
def test_pixel_identity_is_told_apart(scale: float, zero_point: int, expected: bool) -> None:
    assert Quantization(scale, zero_point).is_pixel_identity is expected


@pytest.mark.parametrize(("scale", "zero_point"), [(0.0, 0), (-1.0, 0), (float("nan"), 0), (1.0, 128), (1.0, -129)])
def test_impossible_pairs_are_refused(scale: float, zero_point: int) -> None:
    with pytest.raises(UsageError, match="Received: scale="):
        Quantization(scale, zero_point)
