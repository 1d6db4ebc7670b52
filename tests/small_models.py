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


def expected_video(noisy: Image, history: Image, models: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the video networks of `make_models.py` compute, by their formula: ``(denoised, fused)`` as ``expected``."""
    weights = {name: value.astype(np.float64) for name, value in np.load(models / "video_weights.npz").items()}

    def convolve(blocks: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        kernel = weights[f"{name}_kernel"]
        side = len(kernel)
        wide = np.pad(blocks, ((side // 2, side // 2), (side // 2, side // 2), (0, 0)))
        rows, columns = blocks.shape[:2]
        parts = (wide[y : y + rows, x : x + columns] @ kernel[y, x] for y in range(side) for x in range(side))
        total: NDArray[np.float64] = sum(parts, weights[f"{name}_bias"])
        return total

    def relu6(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(values, 0, 6)

    difference = (history / 255.0) - (noisy / 255.0)
    cells = relu6(convolve(relu6(convolve(_blocks(difference, 8), "differ")), "weigh"))
    share = _pixels(np.clip(convolve(cells, "share"), 0, 1), 8)
    fused = noisy / 255.0 + share * difference
    blocks = _blocks(fused, 2)
    denoised = np.clip(blocks + convolve(relu6(convolve(blocks, "down0_0")), "residual"), 0, 1)
    return _pixels(denoised, 2) * 255.0, fused * 255.0


def _blocks(image: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Space-to-depth."""
    height, width, channels = image.shape
    split = image.reshape(height // side, side, width // side, side, channels).transpose(0, 2, 1, 3, 4)
    return split.reshape(height // side, width // side, -1)


def _pixels(blocks: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Depth-to-space."""
    rows, columns, depth = blocks.shape
    split = blocks.reshape(rows, columns, side, side, -1).transpose(0, 2, 1, 3, 4)
    return split.reshape(rows * side, columns * side, depth // side**2)


def expected(image: Image, models: Path) -> NDArray[np.float64]:
    """What the networks of `make_models.py` compute, by their formula: float64 in 0 to 255, not rounded."""
    kernel = np.load(models / "weights.npz")[f"channels{image.shape[2]}"].astype(np.float64)
    blocks = _blocks(image / 255.0, 2)
    wide = np.pad(blocks, ((1, 1), (1, 1), (0, 0)))
    rows, columns = blocks.shape[:2]
    for y in range(3):
        for x in range(3):
            blocks = blocks + wide[y : y + rows, x : x + columns] @ kernel[y, x]
    return _pixels(np.clip(blocks, 0, 1), 2) * 255.0
