"""Images: conversions and the check."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.errors import DataError
from quietcam.image import as_channels, check_image, swap_red_blue, to_float, to_gray, to_rgb, to_uint8


def test_every_value_survives_float_and_back():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    floats = to_float(every)
    assert floats.dtype == np.float32
    assert floats.min() == 0.0
    assert floats.max() == 1.0
    np.testing.assert_array_equal(to_uint8(floats), every)
    np.testing.assert_array_equal(to_uint8(floats.astype(np.float64)), every)


@given(st.floats(-10, 10, width=32))
def test_to_uint8_clips_and_rounds(value):
    expected = min(255, max(0, round(float(np.float32(np.clip(value, 0, 1)) * np.float32(255)))))
    assert to_uint8(np.full((1, 1, 1), value, np.float32)).item() == expected


def test_swap_red_blue():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    swapped = swap_red_blue(image)
    np.testing.assert_array_equal(swapped, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    np.testing.assert_array_equal(swap_red_blue(swapped), image)
    assert swapped.flags.c_contiguous
    gray = image[..., :1]
    np.testing.assert_array_equal(swap_red_blue(gray), gray)


def test_to_rgb():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(to_rgb(image), image)
    gray = np.array([[[7], [9]]], np.uint8)
    np.testing.assert_array_equal(to_rgb(gray), [[[7, 7, 7], [9, 9, 9]]])


@pytest.mark.parametrize("shape", [(4, 5, 3), (1, 1, 1), (480, 640, 3)])
def test_images_pass_the_check(shape):
    image = np.zeros(shape, np.uint8)
    assert check_image(image) is image


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((4, 5), np.uint8),
        ((4, 5, 4), np.uint8),
        ((0, 5, 3), np.uint8),
        ((1, 4, 5, 3), np.uint8),
        ((4, 5, 3), np.float32),
    ],
    ids=["no channels", "RGBA", "empty", "a batch", "floats"],
)
def test_an_array_that_is_not_an_image_is_refused_by_its_name(shape, dtype):
    with pytest.raises(DataError, match=r"the frame must be uint8.*Received: dtype="):
        check_image(np.zeros(shape, dtype), "the frame")


def test_gray_is_opencvs_luma_and_leaves_equal_channels():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    luma = (image @ np.array([0.299, 0.587, 0.114])).round(6)
    gray = to_gray(image)
    assert gray.shape == (40, 50, 1)
    assert np.abs(gray[..., 0] - luma).max() <= 0.5 + 2e-3
    assert np.abs(gray[..., 0].astype(int) - cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).max() <= 1
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(to_gray(to_rgb(every)), every)
    np.testing.assert_array_equal(as_channels(every, 3), to_rgb(every))
    np.testing.assert_array_equal(as_channels(image, 1), gray)


@pytest.mark.parametrize("picture", [[[1]], "frame.png", None])
def test_what_is_no_array_is_refused(picture):
    with pytest.raises(DataError, match=f"the frame must be a numpy array.*Received: {type(picture).__name__}"):
        check_image(picture, "the frame")
