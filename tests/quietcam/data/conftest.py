"""Data sets made on the spot."""

import cv2
import numpy as np
import pytest

from quietcam.data.pictures import files as pictures


@pytest.fixture(autouse=True)
def _notices_are_new():
    pictures._said.clear()
    yield
    pictures._said.clear()


@pytest.fixture
def picture():
    """uint8 RGB noise: any wrong order, size or place shows. ``picture(height, width, seed)``."""

    def make(height=24, width=32, seed=0):
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def save():
    """Write RGB with OpenCV directly, whatever quietcam's own writer does."""

    def write(path, image):
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 and image.shape[2] == 3 else image)
        return path

    return write


@pytest.fixture
def dataset(tmp_path, picture, save):
    """A folder of pairs: ``dataset({"name": clean seed, ...})`` with noisy/ and clean/."""

    def make(names, folder="set", height=24, width=32):
        root = tmp_path / folder
        for index, (name, seed) in enumerate(dict(names).items()):
            save(root / "noisy" / f"{name}.png", picture(height, width, 1000 + index))
            save(root / "clean" / f"{name}.png", picture(height, width, seed))
        return root

    return make


def touch(root, *names):
    """Empty files of these names, and the folders that they lie in."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root
