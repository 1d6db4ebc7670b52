"""Blotches of known size are measured as large as they are, and two halves are aligned."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.network.blotches.__main__ import main
from benchmarks.network.blotches.bands import BANDS, SIDE, Area, band_deviations, flat_areas
from benchmarks.network.blotches.halves import divide, find_split
from benchmarks.network.blotches.sheet import enlarged, sheet, window
from quietcam.data.pictures.files import read_picture, write_picture
from quietcam.errors import DataError
from quietcam.sensor.scenes import generate_scene

RNG = np.random.default_rng(1)
WHOLE = [Area(top, left, 120.0) for top in range(0, 512, SIDE) for left in range(0, 512, SIDE)]


def gray(values: np.ndarray) -> np.ndarray:
    """Values around 120 as a picture of three equal channels."""
    return np.repeat(np.clip(np.rint(120 + values), 0, 255).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(("length", "band"), [(8, "blotches"), (16, "blotches"), (8 / 3, "grain"), (256, None)])
def test_a_wave_has_its_deviation_in_its_band_alone(length: float, band: str | None) -> None:
    wave = 20 * np.sin(2 * np.pi * np.arange(512) / length)
    picture = gray(np.broadcast_to(wave, (512, 512)))
    for name, bounds in BANDS.items():
        luma, chroma = band_deviations(picture, WHOLE, bounds)
        assert luma == pytest.approx(20 / np.sqrt(2) if name == band else 0.0, abs=0.75)
        assert chroma == pytest.approx(0.0, abs=0.01)


def test_white_noise_has_the_share_of_the_band() -> None:
    """The band of 4 to 32 pixels is a ring in the square of all frequencies."""
    picture = gray(RNG.normal(0, 12, (512, 512)))
    share = np.pi * ((1 / 4) ** 2 - (1 / 32) ** 2)
    assert band_deviations(picture, WHOLE, BANDS["blotches"])[0] == pytest.approx(12 * np.sqrt(share), rel=0.03)


def test_blotches_of_known_deviation() -> None:
    """Noise that was limited to waves of 6 to 20 pixels lies in the band as a whole."""
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))
    kept = (frequency > 1 / 20) & (frequency < 1 / 6)
    noise = np.fft.ifft2(np.fft.fft2(RNG.normal(0, 1, (512, 512))) * kept).real
    picture = gray(noise * 9 / noise.std())
    assert band_deviations(picture, WHOLE, BANDS["blotches"])[0] == pytest.approx(9.0, rel=0.03)
    assert band_deviations(picture, WHOLE, BANDS["grain"])[0] < 0.5


def test_color_without_brightness_is_chroma_alone() -> None:
    """Red and green move against each other, so that 0.299 R + 0.587 G stays: Cr = 0.713 R, Cb = 0."""
    wave = 20 * np.sin(2 * np.pi * np.arange(512) / 8)
    red = np.broadcast_to(wave, (512, 512))
    shown = np.stack([red, -red * 0.299 / 0.587, np.zeros_like(red)], -1) + 120
    luma, chroma = band_deviations(np.rint(shown).astype(np.uint8), WHOLE, BANDS["blotches"])
    assert luma < 0.3
    assert chroma == pytest.approx(0.713 * 20 / np.sqrt(2), abs=0.3)


def test_a_slope_is_no_blotch() -> None:
    slope = np.add.outer(np.arange(512), np.arange(512)) / 4.1 - 120.0
    assert max(band_deviations(gray(slope), WHOLE, BANDS["blotches"])) < 0.3


def test_plain_areas_are_found_and_texture_is_not() -> None:
    scene = np.full((256, 256, 3), 90.0)
    scene[:128] += 40 * np.sin(np.arange(256))[:, None]  # texture above
    scene[128:, :128] = 30.0
    noisy = np.clip(scene + RNG.normal(0, 12, scene.shape), 0, 255).astype(np.uint8)
    areas = flat_areas(noisy, scene.astype(np.uint8))
    assert len(areas) == 8
    assert min(area.top for area in areas) >= 128
    assert sum(area.is_dark for area in areas) == 4
    corners = {(area.top, area.left) for area in areas}
    assert corners == {(top, left) for top in (128, 192) for left in (0, 64, 128, 192)}


def two_halves(shift: tuple[int, int] = (0, 0)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture as people publish it: both halves with a frame around, the right one moved; and its two halves."""
    scene = cv2.GaussianBlur(generate_scene(300, 400, 4), (0, 0), 2)
    noisy = np.clip(scene + RNG.normal(0, 20, scene.shape), 0, 255).astype(np.uint8)
    y, x = shift
    left, right = noisy[: 300 - y, : 400 - x], scene[y:, x:]
    height = 310
    whole = np.full((height, left.shape[1] + right.shape[1] + 20, 3), 239, np.uint8)
    whole[5 : 5 + left.shape[0], 4 : 4 + left.shape[1]] = left
    whole[5 : 5 + right.shape[0], 12 + left.shape[1] : 12 + left.shape[1] + right.shape[1]] = right
    return whole, noisy[y : 300 - y, x : 400 - x], scene[y : 300 - y, x : 400 - x]


@pytest.mark.parametrize("shift", [(0, 0), (3, 7)])
def test_the_halves_show_the_same_place_at_the_same_pixel(shift: tuple[int, int]) -> None:
    whole, noisy, scene = two_halves(shift)
    assert abs(find_split(whole) - (4 + 400 - shift[1])) <= 8
    left, right = divide(whole)
    np.testing.assert_array_equal(left, noisy)
    np.testing.assert_array_equal(right, scene)


def test_the_split_can_be_named() -> None:
    whole, noisy, _ = two_halves()
    np.testing.assert_array_equal(divide(whole, 408)[0], noisy)


@pytest.mark.parametrize(("split", "words"), [(20, "column 20 of 820"), (250, "same scene")])
def test_a_wrong_split_is_refused(split: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        divide(two_halves()[0], split)


def test_a_sheet_has_a_column_for_each_picture_and_a_row_for_each_place() -> None:
    pictures = {"one": np.zeros((64, 64, 3), np.uint8), "two": np.full((64, 64, 3), 9, np.uint8)}
    pictures["one"][8, 16] = 200
    shown = sheet(pictures, [(0, 0), (8, 16)], 16, 3)
    assert shown.shape == (24 + 2 * (48 + 4), 2 * 48 + 4, 3)
    np.testing.assert_array_equal(shown[24 + 48 + 4 : 24 + 48 + 4 + 3, :3], 200)
    np.testing.assert_array_equal(shown[24 : 24 + 48, 52:], 9)
    np.testing.assert_array_equal(enlarged(pictures["one"], 3)[24:27, 48:51], 200)


def test_the_window_holds_most_areas() -> None:
    corners = [(0, 0), (100, 300), (164, 300), (100, 364), (400, 400)]
    areas = [Area(top, left, 50.0) for top, left in corners]
    assert window((512, 512), areas, 200) == (100, 300)
    assert window((512, 512), areas[-1:], 200) == (312, 312)


def test_the_command_measures_and_writes_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = np.full((300, 300, 3), 90, np.uint8)
    scene[:150, :150] = scene[150:, 150:] = generate_scene(150, 150, 4)
    noisy = np.clip(scene + RNG.normal(0, 20, scene.shape), 0, 255).astype(np.uint8)
    write_picture(tmp_path / "both.png", np.hstack([noisy, scene]))
    words = ["--model", "demo", "--out", str(tmp_path / "out"), "--csv", str(tmp_path / "b.csv"), "--markdown"]
    assert main([str(tmp_path / "both.png"), *words]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "| demo" in line or "| noisy" in line]
    assert rows[0][0] == "| noisy"
    assert float(rows[1][1]) < float(rows[0][1])
    for size, side in (("full_size", 300), ("half_size", 150)):
        for name in ("noisy", "demo", "other_half"):
            assert read_picture(tmp_path / "out" / size / f"{name}.png").shape == (side, side, 3)
    assert read_picture(tmp_path / "out" / "full_size" / "areas_300.png").shape[1] == 3 * 128 * 3 + 2 * 4
    assert "blotches of luma, steps of 255" in (tmp_path / "b.csv").read_text()


def test_a_picture_without_plain_areas_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texture = RNG.integers(0, 256, (200, 200, 3), np.uint8)
    write_picture(tmp_path / "both.png", np.hstack([texture, texture]))
    assert main([str(tmp_path / "both.png"), "--split", "200", "--csv", str(tmp_path / "b.csv")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("blotches: ")
    assert "plain areas" in said
    assert len(said.splitlines()) == 1
