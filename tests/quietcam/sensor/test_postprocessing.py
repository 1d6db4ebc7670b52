"""What happens to frames on their way: each step against what it should do to a flat field or to an edge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.sensor.h264 import H264
from quietcam.sensor.postprocessing import Postprocessing

GRAY = 128


def grain(seed: int = 0, size: int = 256, sigma: float = 12.0) -> Image:
    """A flat field under white noise, each channel with its own."""
    rng = np.random.default_rng(seed)
    return np.rint(np.clip(rng.normal(GRAY, sigma, (size, size, 3)), 0, 255)).astype(np.uint8)


def lag_1(image: Image) -> float:
    """How alike horizontal neighbors are: 0 of white noise."""
    plane = image[..., 1].astype(float) - image[..., 1].mean()
    return float((plane[:, 1:] * plane[:, :-1]).mean() / plane.var())


def test_off_it_changes_nothing() -> None:
    frame = grain(size=40)
    way = Postprocessing()
    assert np.array_equal(way.before(frame), frame)
    assert np.array_equal(way.noisy(frame, 40, 40), frame)
    assert np.array_equal(way.clean(frame, 40, 40), frame)


def test_shrinking_by_area_divides_white_noise_by_the_scale_and_leaves_it_white() -> None:
    shrunk = Postprocessing(scale=2.0).noisy(grain(), 128, 128)
    assert shrunk[..., 1].std() == pytest.approx(6.0, rel=0.05)
    assert abs(lag_1(shrunk)) < 0.05


def test_enlarging_makes_grain_coarse() -> None:
    large = Postprocessing(scale=0.5).noisy(grain(), 512, 512)
    assert large.shape == (512, 512, 3)
    assert lag_1(large) > 0.6


def test_the_scene_is_seen_at_the_size_of_the_sensor() -> None:
    assert Postprocessing(scale=1.5).before(grain(size=40)).shape == (60, 60, 3)
    assert Postprocessing(scale=0.5).before(grain(size=41)[:, :30]).shape == (20, 15, 3)


def test_blurred_colors_leave_the_brightness_grainy() -> None:
    out = Postprocessing(chroma=2.0).noisy(grain(), 256, 256).astype(float)
    red_less_green = out[..., 0] - out[..., 1]
    assert red_less_green.std() < 0.35 * 12 * np.sqrt(2)
    luma = out @ (0.299, 0.587, 0.114)
    assert luma.std() == pytest.approx(12 * np.sqrt(0.299**2 + 0.587**2 + 0.114**2), rel=0.1)


def test_smoothing_keeps_edges() -> None:
    edge = np.full((32, 32, 3), 40, np.uint8)
    edge[:, 16:] = 200
    assert np.array_equal(Postprocessing(smooth=10.0).noisy(edge, 32, 32), edge)
    little, much = (Postprocessing(smooth=strength).noisy(grain(), 256, 256).std() for strength in (10.0, 40.0))
    assert much < 0.5 * 12
    assert much < little < 12


def test_both_sides_get_the_same_halos() -> None:
    edge = np.full((32, 32, 3), 40, np.uint8)
    edge[:, 16:] = 200
    way = Postprocessing(sharpen=0.8)
    assert way.clean(edge, 32, 32)[0, 15, 0] < 40
    assert np.array_equal(way.clean(edge, 32, 32), way.noisy(edge, 32, 32))


def test_coring_takes_fine_grain_away_and_leaves_coarse_grain() -> None:
    frame = grain()
    some, more = (Postprocessing(cored=strength).noisy(frame, 256, 256) for strength in (1.0, 3.0))
    assert lag_1(frame) < 0.05 < 0.15 < lag_1(some) < 0.5 < lag_1(more)
    assert more.std() < some.std() < 0.7 * frame.std()
    # A Gaussian of sigma 1.5 leaves 1 / (2 sqrt(pi) 1.5) of white noise; what is thinned out comes on top.
    assert 12 / (2 * np.sqrt(np.pi) * 1.5) < more.std() < 1.15 * 12 / (2 * np.sqrt(np.pi) * 1.5)


@given(strength=st.floats(0.1, 4.0), seed=st.integers(0, 99))
def test_coring_moves_no_pixel_by_more_than_it_says(strength: float, seed: int) -> None:
    frame = grain(seed, 32)
    fine = frame - cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.5)
    deviation = float(np.median(np.abs(fine[::4, ::4]))) / 0.6745
    moved = np.abs(Postprocessing(cored=strength).noisy(frame, 32, 32).astype(float) - frame)
    assert moved.max() <= strength * deviation + 0.5 + 1e-3


def test_a_viewer_enlarges_what_was_compressed() -> None:
    frame = grain(size=40)
    shown = Postprocessing(zoom=2.0, jpeg=60, linear=True).noisy(frame, 80, 80)
    compressed = Postprocessing(jpeg=60).noisy(frame, 40, 40)
    assert np.array_equal(shown, cv2.resize(compressed, (80, 80), interpolation=cv2.INTER_LINEAR))
    assert Postprocessing(zoom=2.0).before(grain(size=80)).shape == (40, 40, 3)
    assert Postprocessing(zoom=2.0).clean(frame, 80, 80).shape == (80, 80, 3)


def test_a_camera_without_colors_shows_the_luma_in_three_equal_channels() -> None:
    frame, way = grain(size=40), Postprocessing(colorless=True)
    for side in (way.noisy(frame, 40, 40), way.clean(frame, 40, 40)):
        assert (side == side[..., :1]).all()
        assert np.abs(side[..., 0] - frame @ (0.299, 0.587, 0.114)).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
def test_the_noisy_side_alone_is_compressed(channels: int) -> None:
    frame = np.ascontiguousarray(grain(size=64)[..., :channels])
    way = Postprocessing(jpeg=40)
    noisy = way.noisy(frame, 64, 64)
    assert noisy.shape == frame.shape
    assert not np.array_equal(noisy, frame)
    assert noisy.mean() == pytest.approx(frame.mean(), abs=1.5)
    assert np.array_equal(way.clean(frame, 64, 64), frame)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"scale": 0.1}, "scale must lie in 0.25 to 4"),
        ({"chroma": -1.0}, "chroma must be at least 0"),
        ({"sharpen": float("nan")}, "sharpen must be at least 0"),
        ({"cored": -1.0}, "cored must be at least 0"),
        ({"zoom": 0.5}, "zoom must lie in 1 to 4"),
        ({"jpeg": 0}, "quality of a JPEG must lie in 1 to 100"),
        ({"jpeg": 50, "h264": H264()}, "as JPEG or as H.264. Received: both"),
    ],
)
def test_what_cannot_be_is_refused(values, words) -> None:
    with pytest.raises(UsageError, match=words):
        Postprocessing(**values)
