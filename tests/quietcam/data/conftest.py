"""Data sets made on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from quietcam.data.pictures import files as pictures
from quietcam.image import Image
from tests.quietcam.data.files import MakeDataset, MakePicture, Save


@pytest.fixture(autouse=True)
def _notices_are_new() -> Iterator[None]:
    pictures._said.clear()
    yield
    pictures._said.clear()


@pytest.fixture
def picture() -> MakePicture:
    """uint8 RGB noise: any wrong order, size or place shows. ``picture(height, width, seed)``."""

    def make(height: int = 24, width: int = 32, seed: int = 0) -> Image:
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def save() -> Save:
    """Write RGB with OpenCV directly, whatever quietcam's own writer does."""

    def write(path: Path, image: Image) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 and image.shape[2] == 3 else image)
        return path

    return write


@pytest.fixture
def dataset(tmp_path: Path, picture: MakePicture, save: Save) -> MakeDataset:
    """A folder of pairs: ``dataset({"name": clean seed, ...})`` with noisy/ and clean/."""

    def make(
        names: Mapping[str, int] | Iterable[tuple[str, int]], folder: str = "set", height: int = 24, width: int = 32
    ) -> Path:
        root = tmp_path / folder
        for index, (name, seed) in enumerate(dict(names).items()):
            save(root / "noisy" / f"{name}.png", picture(height, width, 1000 + index))
            save(root / "clean" / f"{name}.png", picture(height, width, seed))
        return root

    return make
