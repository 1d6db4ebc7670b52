"""The device's smallest models, which `tests/edge/make_models.py` made, and pictures for them.

A plugin, too: its fixture ``models`` is shared by tests of edge and of quietcam.tflite.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quietcam.image import Image
from quietcam.tflite.manifest import Manifest, attach_manifest, model_sha256

MODELS = Path(__file__).parent / "edge" / "models"


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder that `make_models.py` filled: nobody writes into it."""
    return MODELS


def with_manifest(models: Path, folder: Path, stem: str, **values: Any) -> Path:
    """A copy of a model in ``folder``, with a manifest that holds ``values``."""
    path = folder / f"{stem}.tflite"
    content = (models / path.name).read_bytes()
    size = next(part for part in stem.split("_") if "x" in part)
    width, height = map(int, size.split("x"))
    manifest = Manifest(
        name="small",
        recipe="int8",
        width=width,
        height=height,
        channels=1 if "gray" in stem else 3,
        sha256=model_sha256(content),
        gmacs=0.001,
        gmacs_256=0.085,
        **values,
    )
    path.write_bytes(attach_manifest(content, manifest))
    return path


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Image:
    """Random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def expected(image: Image, models: Path) -> NDArray[np.float64]:
    """What the networks of `make_models.py` compute, by their formula: float64 in 0 to 255, not rounded."""
    height, width, channels = image.shape
    kernel = np.load(models / "weights.npz")[f"channels{channels}"].astype(np.float64)
    split = image.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 1, 3, 4)
    blocks: NDArray[np.float64] = split.reshape(height // 2, width // 2, -1) / 255.0
    wide = np.pad(blocks, ((1, 1), (1, 1), (0, 0)))
    rows, columns = blocks.shape[:2]
    for y in range(3):
        for x in range(3):
            blocks = blocks + wide[y : y + rows, x : x + columns] @ kernel[y, x]
    clipped = np.clip(blocks, 0, 1).reshape(rows, columns, 2, 2, channels).transpose(0, 2, 1, 3, 4)
    return clipped.reshape(height, width, channels) * 255.0
