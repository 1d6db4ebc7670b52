"""The smallest network of the family, with weights that have an effect, and pictures for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.architecture import Architecture
from quietcam.image import Image
from quietcam.representative.set import RepresentativeSet, patch_sha256

SIZE = 64
TINY = Architecture(stem=2, widths=(8, 16), depths=(1, 1))
VIDEO = Architecture(stem=2, widths=(8, 16), depths=(1, 1), history=1)


def set_of(patches: Image) -> RepresentativeSet:
    """A representative set of the given patches."""
    count, height, width, _ = patches.shape
    return RepresentativeSet(
        patches=patches,
        source=("generated",) * count,
        instance=("",) * count,
        box=np.tile(np.array([0, 0, width, height], np.int32), (count, 1)),
        sha256=tuple(patch_sha256(patch) for patch in patches),
    )


def with_history(patches: Image, history: Image) -> RepresentativeSet:
    """A representative set for a video network."""
    hashes = tuple(patch_sha256(each) for each in history)
    return replace(set_of(patches), history=history, history_sha256=hashes)


def noisy_pictures(count: int, size: int, seed: int = 0, sigma: float = 20.0) -> tuple[Image, Image]:
    """``(noisy, clean)``: ramps and blocks, and the same under noise; uint8 ``(count, size, size, 3)``."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, size)
    clean = np.empty((count, size, size, 3))
    for picture in clean:
        picture[:] = 255 * (rng.uniform(0, 0.6) + np.outer(x, x)[..., None] * rng.uniform(0, 0.8, 3))
        for _ in range(4):
            y0, x0 = rng.integers(0, size - 8, 2)
            picture[y0 : y0 + 8, x0 : x0 + 8] = rng.uniform(0, 255, 3)
    noisy = clean + rng.normal(0, sigma, clean.shape)
    return _pixels(noisy), _pixels(clean)


def _pixels(values: NDArray[np.float64]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def build_tiny(wrap: Any = None, architecture: Architecture = TINY) -> Any:
    """The network with seeded weights; the residual is scaled down so that outputs stay near the input."""
    from train.model import build

    model = build(architecture) if wrap is None else build(architecture, wrap)
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.5 / np.sqrt(np.prod(w.shape[:-1])), w.shape) for w in model.get_weights()])
    return model


def build_video(wrap: Any = None) -> Any:
    """The video network likewise: it takes shares of the history from 0 to 1, in the mean one half."""
    model = build_tiny(wrap, VIDEO)
    share = next(inner for layer in model.layers if (inner := getattr(layer, "layer", layer)).name == "share")
    share.bias.assign(np.full(share.bias.shape, 0.5, np.float32))
    return model


def clip_of(count: int, size: int, seed: int = 0, sigma: float = 20.0) -> Image:
    """A clip: uint8 ``(count, size, size, 3)``. A block moves over a still scene; the noise is new in each frame."""
    rng = np.random.default_rng(seed)
    still = noisy_pictures(1, size, seed)[1][0].astype(np.float64)
    frames = np.repeat(still[None], count, 0)
    for index, frame in enumerate(frames):
        left = 2 * index % (size - 8)
        frame[8:16, left : left + 8] = 230.0
    return _pixels(frames + rng.normal(0, sigma, frames.shape))
