"""Clean frames out of folders and videos: shrunk until quiet, cut to size, refused with a reason."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from quietcam.app.cli import app
from quietcam.data.frames import CleanFrames, clean_crop
from quietcam.data.generated import write_pairs
from quietcam.data.pictures.files import picture_size, write_picture
from quietcam.data.sets.pairs import find_pairs
from quietcam.errors import DataError, UsageError
from quietcam.estimation import estimate_blind, estimate_pair
from quietcam.image import Image
from quietcam.sensor.noise import gaussian, sensor
from quietcam.sensor.scenes import generate_scene


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        write_picture(tmp_path / "frames" / f"{number}.png", generate_scene(160, 200, number))
    return tmp_path / "frames"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (96, 80))
    for number in range(10):
        writer.write(np.full((80, 96, 3), 20 * number + 20, np.uint8))
    writer.release()
    return path


def test_a_frames_own_noise_is_averaged_out() -> None:
    noisy = gaussian(np.full((480, 480, 3), 120, np.uint8), 4.0, rng())
    crop = clean_crop(noisy, 48, rng())
    assert crop.shape == (48, 48, 3)
    assert float(crop.std()) < 0.6
    assert estimate_blind(crop).sigma < 0.6


@pytest.mark.parametrize("side", [64, 100, 128, 300])
def test_a_crop_has_its_size_whatever_the_frames(side: int) -> None:
    frame: Image = rng(side).integers(0, 256, (side, side + 37, 3), np.uint8)
    assert clean_crop(frame, 64, rng()).shape == (64, 64, 3)


def test_a_frame_that_is_too_small_is_refused() -> None:
    with pytest.raises(DataError, match=r"at least as large.*Received: 50x40"):
        clean_crop(np.zeros((40, 50, 3), np.uint8), 64, rng())


def test_folders_go_round_and_videos_are_spread(folder: Path, video: Path) -> None:
    pictures = CleanFrames.open(folder)
    assert pictures.length == 3
    assert np.array_equal(pictures.read(4), generate_scene(160, 200, 1))
    clip = CleanFrames.open(video)
    assert clip.length == 10
    levels = {round(float(clip.read(number).mean()), -1) for number in range(10)}
    assert len(levels) >= 8


def test_a_path_that_is_neither_folder_nor_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder or a video"):
        CleanFrames.open(tmp_path / "none")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match="cannot read this file as a video"):
        CleanFrames.open(tmp_path / "text.mp4")


def test_pairs_of_a_sensor_are_as_noisy_as_it_is(folder: Path, tmp_path: Path) -> None:
    sigmas = []
    for gain in (1.0, 16.0):
        out = tmp_path / f"gain{gain:g}"
        write_pairs(out, count=3, size=64, noise=sensor("imx219", gain), clean=folder)
        sigmas.append(np.median([estimate_pair(*pair.read()).sigma for pair in find_pairs(out)]))
    assert 2.0 < sigmas[1] / sigmas[0] < 6.0, "sixteen times the variance, less what clips and what is JPEG"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sensor", "imx999"], "imx219, imx477, imx708, ov5647"),
        (["--gain", "8"], "--gain needs --sensor"),
        (["--sensor", "imx219", "--band", "20:26"], "leave one of them out"),
        (["--clean", "/nowhere"], "folder or a video"),
        (["--all-cameras", "--sheet", "sheet.bmp"], "written as .png, .jpg or .jpeg"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["data", "generate", "--out", str(tmp_path / "out"), *arguments])
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "out").exists(), "it is said before the work, not behind it"


def test_a_thumbnail_among_pictures_is_left_out_and_named(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(folder / "thumb.png", np.zeros((80, 100, 3), np.uint8))
    write_pairs(tmp_path / "pairs", count=4, size=128, clean=folder)
    assert len(find_pairs(tmp_path / "pairs")) == 4
    assert "1 picture is smaller than the pairs, 128x128: thumb.png (100x80)" in caplog.text
    with pytest.raises(DataError, match=r"all smaller than 500x500: 0.png \(200x160\), .*thumb.png \(100x80\)"):
        CleanFrames.open(folder, 500)


def test_a_picture_that_cannot_be_read_is_skipped_and_named(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(folder / "2.png"), np.zeros((160, 200, 3), np.uint16))
    frames = CleanFrames.open(folder, 64)
    assert np.array_equal(frames.read(1), frames.read(2)), "the next one stands in its place"
    write_pairs(tmp_path / "pairs", count=8, size=64, clean=folder)
    assert len(find_pairs(tmp_path / "pairs")) == 8
    said = caplog.text
    assert "Skipped 2 of the pictures in" in said
    assert said.count("1.png: A picture must be whole") == 1
    assert "2.png: A picture must have 8 bits" in said
    for path in folder.iterdir():
        path.write_bytes(whole[:99])
    with pytest.raises(DataError, match=r"must be whole.*cut short"):
        CleanFrames.open(folder, 64).read(0)


def test_animated_pictures_are_not_called_small(folder: Path) -> None:
    head = b"VP8X" + struct.pack("<IB3x", 10, 2) + bytes((199, 0, 0, 159, 0, 0)) + b"ANIM" + struct.pack("<I6x", 6)
    (folder / "9.webp").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(head)) + b"WEBP" + head)
    with pytest.raises(DataError, match="animated pictures"):
        picture_size(folder / "9.webp")


def test_one_picture_is_a_source_and_a_photograph_that_is_not_read_is_named(tmp_path: Path, folder: Path) -> None:
    assert np.array_equal(CleanFrames.open(folder / "1.png", 100).read(7), generate_scene(160, 200, 1))
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(DataError, match=r"HEIC pictures are not read.*a\.heic.*heif-convert"):
        CleanFrames.open(tmp_path / "a.heic", 100).read(0)
