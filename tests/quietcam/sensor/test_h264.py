"""H.264 of cameras: other decoders agree, grain becomes blotches that stay, pairs and clips go through one encoder."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.data.generated import write_pairs
from quietcam.errors import MissingExtraError, UsageError
from quietcam.image import Image
from quietcam.metrics import psnr
from quietcam.sensor.camera_kinds import DrawnCamera, camera_of, photograph_any_camera
from quietcam.sensor.filming import film
from quietcam.sensor.h264 import H264, PRESETS, Encoder
from quietcam.sensor.isp import Isp
from quietcam.sensor.motion import Instant
from quietcam.sensor.noise import SensorNoise
from quietcam.sensor.postprocessing import Postprocessing
from quietcam.sensor.scenes import generate_scene
from quietcam.sensor.traits import Flicker, Traits

pytest.importorskip("av", reason="needs the extra 'video'")

SCENE = generate_scene(64, 64, 3)


def grain(count: int, size: int = 96, sigma: float = 10.0) -> list[Image]:
    """Frames of a gray wall under white noise."""
    rng = np.random.default_rng(0)
    return [np.rint(np.clip(rng.normal(110, sigma, (size, size, 3)), 0, 255)).astype(np.uint8) for _ in range(count)]


def coded(frames: list[Image], settings: H264) -> list[Image]:
    encoder = Encoder(settings)
    return [encoder(frame) for frame in frames]


def camera(h264: H264 | None, **traits: float) -> DrawnCamera:
    noise, isp = SensorNoise(5e-3, 1e-5), Isp(1.0, 1.0)
    return DrawnCamera("pi", noise, isp, Traits(**traits), Postprocessing(h264=h264))


def reader(path: Path, encoder: Encoder) -> cv2.VideoCapture:
    path.write_bytes(b"".join(encoder.packets))
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)


@pytest.mark.parametrize("preset", PRESETS)
def test_opencv_decodes_the_same_luma_to_the_bit(tmp_path: Path, preset: str) -> None:
    encoder = Encoder(H264(20, preset, gop=3))
    ours = [encoder(generate_scene(96, 128, seed, 1)) for seed in (3, 4, 4, 4)]
    video = reader(tmp_path / "clip.h264", encoder)
    video.set(cv2.CAP_PROP_CONVERT_RGB, 0)  # gives the plane of the luma, from 16 to 235
    for own in ours:
        there, luma = video.read()
        assert there
        assert np.array_equal(own[..., 0], np.rint(np.clip((luma - 16.0) * 255 / 219, 0, 255)))
    assert not video.read()[0]


def test_opencv_decodes_the_same_colors(tmp_path: Path) -> None:
    scenes = [generate_scene(96, 128, seed) for seed in (3, 4, 4, 4)]
    encoder = Encoder(H264(20, gop=3))
    ours = [encoder(scene) for scene in scenes]
    video = reader(tmp_path / "clip.h264", encoder)
    for scene, own in zip(scenes, ours, strict=True):
        theirs = video.read()[1][..., ::-1].astype(float)
        # OpenCV's conversion to RGB is darker by about a step, and enlarges the colors in another way.
        assert np.abs(theirs - own).mean() < 2
        assert psnr(own, scene) > 30


def test_the_same_frames_give_the_same_bytes_and_more_crf_is_worse() -> None:
    frames = grain(4)
    assert all(map(np.array_equal, coded(frames, H264(26)), coded(frames, H264(26))))
    worse = [psnr(coded(frames, H264(crf))[-1], frames[-1]) for crf in (18, 24, 30, 36)]
    assert worse == sorted(worse, reverse=True)


def test_new_grain_is_kept_out_and_old_grain_stays() -> None:
    frames = grain(9)
    shown = np.array(coded(frames, H264(28)), float)[..., 1]
    moved = [(later - sooner).std() for sooner, later in itertools.pairwise(shown[3:])]
    assert max(moved) < 0.3 * 10 * np.sqrt(2), "frames of fresh noise differ by 1.41 times its sigma"
    blotches = shown[-1] - cv2.GaussianBlur(shown[-1], (0, 0), 12)
    assert blotches.std() > 1.2 * np.mean(moved), "the grain of a frame is stronger than what changes to the next"
    assert np.corrcoef(shown[-1].ravel(), shown[-2].ravel())[0, 1] > 0.5


def test_a_key_frame_begins_anew() -> None:
    frames = grain(6)
    shown = coded(frames, H264(28, gop=4))
    fresh = coded(frames[4:5], H264(28, gop=4))[0]
    assert psnr(shown[4], fresh) > psnr(shown[3], fresh) + 3


@given(
    height=st.integers(3, 50),
    width=st.integers(3, 50),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    channels=st.sampled_from([1, 3]),
)
@settings(max_examples=40)
def test_a_flat_picture_of_any_size_keeps_its_color(height, width, color, channels) -> None:
    frame = np.ascontiguousarray(np.full((height, width, 3), color, np.uint8)[..., :channels])
    shown = Encoder(H264(18, "ultrafast"))(frame)
    assert (shown.shape, shown.dtype) == (frame.shape, np.uint8)
    assert np.abs(shown.astype(int) - frame).max() <= 6


@pytest.mark.parametrize("position", [0, 3])
def test_a_pair_is_a_frame_at_its_position_after_a_key_frame(position: int) -> None:
    noisy, clean = camera(H264(30, position=position)).photograph(SCENE, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    if position:
        Flicker.draw(rng)
    plain = [camera(None).photograph(SCENE, rng) for _ in range(position + 1)]
    assert np.array_equal(noisy, coded([frame for frame, _ in plain], H264(30))[-1])
    assert np.array_equal(clean, plain[0][1])


def test_the_lamps_of_a_pair_keep_their_period_from_frame_to_frame() -> None:
    """Few of the bands would be left in the last frame if each frame had other ones."""
    silent = replace(camera(H264(18, position=5), lamps=0.3), noise=SensorNoise(0.0, 0.0))
    noisy, clean = silent.photograph(np.full((64, 64, 3), 128, np.uint8), np.random.default_rng(2))
    rng = np.random.default_rng(2)
    wave = Flicker.draw(rng).light(silent.traits, 64, 5)
    assert wave is not None
    bands = (noisy.astype(float) - clean)[..., 1].mean(axis=1)
    assert np.corrcoef(bands, wave[:, 0])[0, 1] > 0.98


@pytest.mark.parametrize("position", [0, 2])
def test_a_clip_goes_through_one_encoder_that_ran_before_it(position: int) -> None:
    instants = [Instant(SCENE, SCENE, number == 0) for number in range(6)]
    plain = [frame.noisy for frame in film(instants, camera(None), 7)]
    shown = [frame.noisy for frame in film(instants[: 6 - position], camera(H264(28, gop=4, position=position)), 7)]
    wanted = coded(plain, H264(28, gop=4))[position:]
    assert all(map(np.array_equal, shown, wanted))


def test_the_same_seed_gives_the_same_pair() -> None:
    seeds = [seed for seed in range(200) if (way := camera_of(seed).postprocessing).h264 and way.lead][:4]
    for seed in seeds:
        once, again = photograph_any_camera(SCENE, seed), photograph_any_camera(SCENE, seed)
        assert all(map(np.array_equal, once, again))


def test_without_the_package_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"extra 'video' .missing: av."):
        write_pairs(tmp_path / "pairs", count=1, size=32, all_cameras=True)
    assert not (tmp_path / "pairs").exists()
    write_pairs(tmp_path / "phones", count=1, size=32)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crf": 52}, "Crf must lie in 0 to 51"),
        ({"preset": "slowest"}, "Preset must be one of ultrafast"),
        ({"gop": 0}, "Gop must be at least 1"),
        ({"gop": 4, "position": 4}, "Position must lie in 0 to gop - 1"),
    ],
)
def test_what_cannot_be_is_refused(values, words) -> None:
    with pytest.raises(UsageError, match=words):
        H264(**values)
