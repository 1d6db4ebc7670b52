"""Data to judge models on, as small as it can be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from quietcam.data.pictures.files import write_picture
from tests.tiny_network import noisy_pictures

INSTANCE = "0075_004_N6_00800_00080_3200_L"


def write_data(folder: Path) -> Path:
    """The two folders of pairs, with one pair of 260x260 each (``noisy_pictures(2, 260, sigma=10.0)``): the first one
    has SIDD's name INSTANCE. And one clip."""
    noisy, clean = noisy_pictures(2, 260, sigma=10.0)
    for name, stem, index in (("sidd_native", INSTANCE, 0), ("sidd_small_256", "plain", 1)):
        write_picture(folder / name / "valid" / "noisy" / f"{stem}.png", noisy[index])
        write_picture(folder / name / "valid" / "clean" / f"{stem}.png", clean[index])
    (folder / "video").mkdir()
    write_clip(folder / "video" / "clip.mp4")
    return folder


def write_clip(path: Path, width: int = 300, height: int = 270) -> None:
    """50 frames of blocks of color."""
    blocks = np.random.default_rng(0).integers(0, 256, (50, 9, 10, 3), np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (width, height))
    for frame in blocks:
        writer.write(cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC))
    writer.release()
