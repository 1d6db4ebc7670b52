"""Cameras of every kind: drawn by the stated shares, each as described."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from quietcam.data import generated
from quietcam.data.contact_sheet import _cell, told_of, write_sheet
from quietcam.data.generated import write_pairs
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import UsageError
from quietcam.sensor.camera_kinds import (
    KIND_SHARES,
    DrawnCamera,
    _with_kind,
    camera_of,
    draw_camera,
    photograph_any_camera,
)
from quietcam.sensor.h264 import PRESETS
from quietcam.sensor.isp import Isp
from quietcam.sensor.noise import SensorNoise
from quietcam.sensor.postprocessing import Postprocessing
from quietcam.sensor.scenes import generate_scene, generate_wall
from quietcam.sensor.traits import Traits

DRAWN = [camera_of(seed) for seed in range(2000)]
SILENT = SensorNoise(0.0, 0.0)
SCENE = np.zeros((16, 16, 3), np.uint8)
needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs the extra 'video'")


def share(holds) -> float:
    return sum(map(bool, map(holds, DRAWN))) / len(DRAWN)


def test_kinds_come_in_the_shares_that_are_stated():
    assert sum(KIND_SHARES.values()) == pytest.approx(1.0)
    found = Counter(camera.kind for camera in DRAWN)
    for kind, wanted in KIND_SHARES.items():
        # Four standard deviations of a share of 2000 draws.
        assert found[kind] / 2000 == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / 2000) ** 0.5)


def test_grain_is_drawn_at_every_scale_and_frames_are_compressed():
    assert share(lambda camera: camera.postprocessing.scale > 1) > 0.15
    assert share(lambda camera: camera.postprocessing.scale < 1) > 0.1
    assert share(lambda camera: camera.postprocessing.zoom > 1) > 0.05
    assert share(lambda camera: camera.postprocessing.jpeg) > 0.1
    assert share(lambda camera: camera.postprocessing.h264) > 0.1
    assert 0.25 < share(lambda camera: camera.postprocessing == Postprocessing()) < 0.4


def near(found: float, wanted: float, count: int) -> bool:
    """Within four standard deviations of a share among ``count`` draws."""
    return abs(found - wanted) < 4 * (wanted * (1 - wanted) / count) ** 0.5


@pytest.mark.parametrize(
    ("kinds", "holds", "wanted"),
    [
        ("phone pi", lambda camera: max(camera.tint) < 1, 1 / 6),
        ("phone pi night", lambda camera: min(camera.tint) < max(camera.tint), 1 / 8),
        ("phone pi night", lambda camera: camera.postprocessing.cored > 0, 1 / 6),
        ("night", lambda camera: camera.postprocessing.colorless, 1 / 6),
        # Half are not processed, and 4 in 10 of the others not scaled.
        ("phone pi night", lambda camera: camera.postprocessing.scale == 2, 0.7 / 8),
        # A twelfth of all has it by the older draw; of those without any compression (3 in 4), 1 in 4 gets it later.
        ("pi night", lambda camera: camera.postprocessing.h264, 1 / 12 + 3 / 4 / 4),
        ("phone machine", lambda camera: camera.postprocessing.h264, 1 / 12),
        ("phone pi machine night", lambda camera: camera.postprocessing.zoom > 1, 1 / 12),
        ("phone pi machine night", lambda camera: camera.traits.offset > 0, 1 / 8),
        ("machine", lambda camera: camera.gray, 1 / 4),
        ("machine", lambda camera: camera.isp.tone == "linear", 0.2),
    ],
)
def test_traits_come_in_the_shares_that_are_stated(kinds, holds, wanted):
    some = [camera for camera in DRAWN if camera.kind in kinds.split()]
    assert near(np.mean([bool(holds(camera)) for camera in some]), wanted, len(some))


@needs_av
def test_grain_is_white_to_strongly_correlated():
    """Neighbors on a gray wall: their correlation, of cameras whose grain is stronger than rounding."""
    wall, lags = np.full((64, 64, 3), 90, np.uint8), []
    for seed in range(400):
        noisy, clean = camera_of(seed).photograph(wall, np.random.default_rng(seed))
        grain = (noisy.astype(float) - clean)[..., 1]
        grain -= grain.mean()
        if grain.std() > 0.7:
            lags.append((grain[:, 1:] * grain[:, :-1]).mean() / grain.var())
    assert len(lags) > 350
    assert np.mean(np.array(lags) < 0.1) > 1 / 14
    assert np.mean(np.array(lags) > 0.7) > 1 / 7


def test_h264_has_the_settings_of_cameras():
    settings = [camera.postprocessing.h264 for camera in DRAWN if camera.postprocessing.h264]
    for name, values in {"crf": range(18, 39), "position": range(7), "preset": PRESETS}.items():
        found = Counter(getattr(each, name) for each in settings)
        assert set(found) == set(values), name
        assert all(near(count / len(settings), 1 / len(values), len(settings)) for count in found.values()), name
    assert all(8 <= each.gop <= 60 for each in settings)


def test_later_traits_leave_the_older_draws_as_they_were():
    for seed in range(200):
        rng, alone = (np.random.Generator(np.random.PCG64([seed, 6])) for _ in range(2))
        camera, older = draw_camera(rng), _with_kind(alone)
        assert rng.bit_generator.state == alone.bit_generator.state
        assert (camera.kind, camera.noise, camera.isp) == (older.kind, older.noise, older.isp)
        assert camera.postprocessing.jpeg == older.postprocessing.jpeg
        assert replace(camera.traits, offset=0.0) == older.traits


def test_walls_at_night_are_dark_and_flat():
    for seed in range(60):
        wall = generate_wall(64, 64, seed)
        assert np.array_equal(wall, generate_wall(64, 64, seed))
        assert np.percentile(wall, 90) <= 110
        assert np.median(np.abs(np.diff(wall.astype(int), axis=1))) <= 1
    assert generate_wall(20, 30, 1, 1).shape == (20, 30, 1)
    with pytest.raises(UsageError, match="at least 16 pixels"):
        generate_wall(8, 8, 1)


def test_cameras_of_every_kind_see_walls_in_the_stated_share(monkeypatch):
    seen = []
    monkeypatch.setattr(generated, "generate_wall", lambda *arguments: seen.append(arguments) or SCENE)
    monkeypatch.setattr(generated, "generate_scene", lambda *_: SCENE)
    monkeypatch.setattr(generated, "photograph_any_camera", lambda *_: None)
    monkeypatch.setattr(generated, "photograph", lambda *_, **__: None)
    for number in range(1500):
        generated.make_generated_pair(number, size=16, all_cameras=True)
    assert near(len(seen) / 1500, generated.WALL_SHARE, 1500)
    seen.clear()
    for number in range(100):
        generated.make_generated_pair(number, size=16)
    assert seen == []


def test_frames_are_compressed_once_and_half_of_the_machines_skip_on_the_sensor():
    assert not any(camera.traits.jpeg for camera in DRAWN)
    machines = [camera for camera in DRAWN if camera.kind == "machine"]
    # Of 70 % that are not scaled on their way (half, and 40 % of the other half), half skip: by 2 or 3.
    skip = np.mean([camera.postprocessing.scale in (2.0, 3.0) for camera in machines])
    assert skip == pytest.approx(0.35, abs=4 * (0.35 * 0.65 / len(machines)) ** 0.5)


@pytest.mark.parametrize(("trait", "wanted"), [("column", 1 / 10), ("uneven", 1 / 8), ("lamps", 1 / 12)])
def test_patterns_come_in_the_shares_that_are_stated(trait, wanted):
    found = share(lambda camera: getattr(camera.traits, trait))
    assert found == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / 2000) ** 0.5)


def test_night_reaches_beyond_the_noisiest_phone():
    assert max(camera.noise.shot for camera in DRAWN if camera.kind == "phone") <= 2.2e-2
    assert 0.2 < np.mean([camera.noise.shot > 2.2e-2 for camera in DRAWN if camera.kind == "night"]) < 0.5


@needs_av
def test_the_same_seed_gives_the_same_pair_and_another_one_another():
    scene = generate_scene(64, 64, 3)
    for seed in range(12):
        noisy, clean = photograph_any_camera(scene, seed)
        again = photograph_any_camera(scene, seed)
        assert noisy.shape == clean.shape == scene.shape
        assert np.array_equal(noisy, again[0])
        assert np.array_equal(clean, again[1])
    assert not np.array_equal(photograph_any_camera(scene, 0)[0], photograph_any_camera(scene, 1)[0])


def test_a_monochrome_sensor_gives_three_equal_channels():
    camera = DrawnCamera("machine", SensorNoise(1e-2, 1e-4), Isp(1.0, 1.0), Traits(), Postprocessing(), gray=True)
    for side in camera.photograph(generate_scene(64, 64, 5), np.random.default_rng(0)):
        assert side.shape == (64, 64, 3)
        assert (side == side[..., :1]).all()


def test_a_tint_multiplies_linear_light():
    """Half of the linear light of sRGB 188 (0.5029) is 0.2515: sRGB 137."""
    camera = DrawnCamera("machine", SILENT, Isp(1.0, 1.0), Traits(), Postprocessing(), tint=(1.0, 0.5, 1.0))
    scene = np.full((32, 32, 3), 188, np.uint8)
    clean = camera.photograph(scene, np.random.default_rng(0))[1]
    assert [int(value) for value in clean[16, 16]] == pytest.approx([188, 137, 188], abs=1)


def test_without_noise_only_what_touches_the_noisy_side_alone_is_left():
    quiet = DrawnCamera("pi", SILENT, Isp(), Traits(), Postprocessing(scale=2.0, sharpen=0.5))
    noisy, clean = quiet.photograph(generate_scene(48, 48, 1), np.random.default_rng(0))
    assert np.array_equal(noisy, clean)


def test_the_sheet_shows_dark_pairs_brighter_and_says_so(tmp_path):
    for side, level in (("noisy", 9), ("clean", 10)):
        (tmp_path / side).mkdir()
        write_picture(tmp_path / side / "scene_000000.png", np.full((64, 64, 3), level, np.uint8))
    write_sheet(tmp_path / "sheet.png", tmp_path, [0])
    sheet = read_picture(tmp_path / "sheet.png")
    assert (sheet[:64, :64] == 72).all()
    assert (sheet[:64, 64:128] == 80).all()


def test_a_camera_of_many_words_fits_below_its_pair():
    blank = np.zeros((192, 192, 3), np.uint8)
    cell = _cell(blank, blank, "1: 20.0 dB", ", ".join(["night"] * 30))
    dark = (cell[192:] < 200).any(axis=(0, 2))
    assert not dark[-4:].any()
    assert dark[250:].any()


@needs_av
def test_the_sheet_shows_the_first_pairs_and_names_their_cameras(tmp_path):
    write_pairs(tmp_path / "pairs", count=5, size=64, seed=40, all_cameras=True)
    write_sheet(tmp_path / "sheet.png", tmp_path / "pairs", range(40, 45), all_cameras=True)
    sheet = read_picture(tmp_path / "sheet.png")
    assert sheet.shape == (2 * (64 + 30), 4 * 2 * 192, 3)
    noisy = read_picture(tmp_path / "pairs" / "noisy" / "scene_000041.png")
    assert np.array_equal(sheet[:64, 384 : 384 + 64], noisy)
    assert told_of(camera_of(40)).startswith(camera_of(40).kind)
    write_sheet(tmp_path / "plain.png", tmp_path / "pairs", range(40, 45))
    words = np.any(sheet != read_picture(tmp_path / "plain.png"), axis=(1, 2))
    assert words[64 + 16 : 94].any(), "the second line of words names the camera"
    assert not words[: 64 + 12].any()


def test_the_clean_side_is_what_many_frames_average_to():
    """In the dark, where values below black are cut off, that is brighter than the scene without noise."""
    camera = DrawnCamera("machine", SensorNoise(0.0, 1e-4), Isp(1.0, 1.0, tone="linear"), Traits(), Postprocessing())
    scene, rng = np.zeros((32, 32, 3), np.uint8), np.random.default_rng(0)
    noisy = [camera.photograph(scene, rng)[0] for _ in range(64)]
    clean = camera.photograph(scene, rng)[1]
    # The mean of a normal value that is cut off at 0: its deviation, 2.55 steps of 255, by the square root of 2 pi.
    assert clean.mean() == pytest.approx(2.55 / (2 * np.pi) ** 0.5, abs=0.5)
    assert np.mean(noisy) == pytest.approx(2.55 / (2 * np.pi) ** 0.5, abs=0.5)
