from __future__ import annotations

import itertools
import shutil

import cv2
import numpy as np
import pytest

from compare.clips.filters.classic import CLIP_FILTERS
from compare.clips.filters.ffmpeg import INSTALL
from quietcam.metrics import psnr
from tests.compare.clips.made import MadeClip

FFMPEG = {"hqdn3d", "atadenoise", "nlmeans"}
with_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason=f"needs ffmpeg: {INSTALL}")
every = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=with_ffmpeg) if name in FFMPEG else name for name in CLIP_FILTERS]
)


def run(name: str, frames: np.ndarray, setting: tuple[float, ...] | None = None) -> np.ndarray:
    chosen = CLIP_FILTERS[name]
    return np.stack([*chosen.run(iter(frames), setting or chosen.start, 1)])


@every
def test_a_filter_helps_against_noise_in_every_frame(name: str) -> None:
    noisy, clean = MadeClip(24).sides()
    filtered = run(name, noisy)
    assert filtered.shape == noisy.shape
    assert filtered.dtype == np.uint8
    settled = slice(CLIP_FILTERS[name].settle, None)
    gains = [psnr(a, c) - psnr(b, c) for a, b, c in zip(filtered, noisy, clean, strict=True)]
    assert min(gains[settled]) > 0.5
    assert np.mean(gains[settled]) > 2


@every
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_frames_of_one_color_come_back_in_their_order_and_color(name: str, count: int) -> None:
    colors = np.random.default_rng(1).integers(0, 256, (count, 1, 1, 3), np.uint8)
    frames = np.ascontiguousarray(np.broadcast_to(colors, (count, 40, 48, 3)))
    weakest = tuple(axis[0] for axis in CLIP_FILTERS[name].axes.values())
    np.testing.assert_allclose(run(name, frames, weakest), frames, atol=3)


@every
def test_settings_are_read_by_people(name: str) -> None:
    chosen = CLIP_FILTERS[name]
    words = chosen.describe(chosen.start)
    assert all(axis in words for axis in chosen.axes)
    assert "strongest" not in words
    assert "strongest" in chosen.describe(tuple(axis[-1] for axis in chosen.axes.values()))


@every
def test_strengths_ascend_and_the_start_is_one_of_them(name: str) -> None:
    chosen = CLIP_FILTERS[name]
    for axis, value in zip(chosen.axes.values(), chosen.start, strict=True):
        assert value in axis
        assert all(a < b for a, b in itertools.pairwise(axis))


@with_ffmpeg
def test_atadenoise_is_the_mean_of_the_frames_around_where_they_differ_little() -> None:
    gray = np.random.default_rng(2).integers(90, 111, (15, 24, 32, 1))
    frames = np.broadcast_to(gray, (15, 24, 32, 3)).astype(np.uint8)
    filtered = run("atadenoise", np.ascontiguousarray(frames), (0.3, 5.0))
    means = np.stack([frames[i - 2 : i + 3].mean(axis=0) for i in range(2, 13)])
    assert np.abs(filtered[2:13] - means).max() <= 1
    beyond = run("atadenoise", np.ascontiguousarray(frames), (0.01, 5.0))  # a threshold of 2.5 steps
    assert np.abs(beyond[2:13] - means).max() > 5


@with_ffmpeg
def test_atadenoise_averages_up_to_the_last_frame_as_if_the_clip_went_on() -> None:
    gray = np.random.default_rng(2).integers(90, 111, (15, 24, 32, 1))
    frames = np.ascontiguousarray(np.broadcast_to(gray, (15, 24, 32, 3)).astype(np.uint8))
    expected = frames[[12, 13, 14, 13, 12]].mean(axis=0)
    assert np.abs(run("atadenoise", frames, (0.3, 5.0))[14] - expected).max() <= 1


@with_ffmpeg
def test_hqdn3d_averages_over_time_and_more_at_a_higher_strength() -> None:
    frames = np.ascontiguousarray(
        np.random.default_rng(2).normal(100, 6, (40, 24, 32, 3)).clip(0, 255).astype(np.uint8)
    )
    spreads = [run("hqdn3d", frames, (0.5, temporal, 1.5))[20:].std(axis=0).mean() for temporal in (0.5, 6.0, 24.0)]
    assert spreads[0] > 5
    assert spreads[1] < 0.8 * spreads[0]
    assert spreads[2] < 0.5 * spreads[1]


@with_ffmpeg
@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_atadenoise_ends_on_a_clip_that_is_shorter_than_it_looks_ahead(count: int) -> None:
    noisy, clean = MadeClip(count).sides()
    filtered = run("atadenoise", noisy, (0.1, 17.0))
    assert len(filtered) == count
    assert (psnr(filtered[0], clean[0]) > psnr(noisy[0], clean[0]) + 1) == (count > 1)


def test_non_local_means_take_the_frame_before_and_the_one_after() -> None:
    noisy = MadeClip(5, sigma=25).sides()[0]
    bgr = [np.ascontiguousarray(frame[..., ::-1]) for frame in noisy]
    bgr = [bgr[1], *bgr, bgr[3]]  # mirrored at both ends
    found = run("nlm_multi", noisy, (14.0,))
    for number in range(5):
        theirs = cv2.fastNlMeansDenoisingColoredMulti(bgr, number + 1, 3, None, 14.0, 14.0, 7, 21)
        np.testing.assert_array_equal(found[number], theirs[..., ::-1])
