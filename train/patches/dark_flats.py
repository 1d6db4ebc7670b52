"""Plain dark scenes at a high gain: there a pattern shows that textures hide."""

from __future__ import annotations

import functools

import numpy as np

from quietcam.image import Image, as_channels
from quietcam.sensor.camera_kinds import DrawnCamera, camera_of

__all__ = ["dark_flats"]

_SEED = 9_600_000  # apart from those of pictures that are generated to train on and to judge by
_SIDE = 128
_LEVELS, _LEAST_NOISE = (8, 70), 6.0  # steps of 255


@functools.cache  # a run needs them once, but a process may have several runs
def dark_flats(channels: int, block: int, scenes: int = 160) -> Image:
    """Noisy pictures by Raspberry Pi cameras and phones at night, each cut out at every place of a block.

    So whatever a camera itself has at fixed places is at all phases of a block, and cancels out.

    Returns:
        uint8 ``(scenes * block**2, 128, 128, channels)``.
    """
    cut: list[Image] = []
    side, seed = _SIDE + block, _SEED
    while len(cut) < scenes * block**2:
        seed += 1
        camera, rng = camera_of(seed), np.random.default_rng(seed)
        noisy = _photograph(camera, rng, side)
        if noisy is not None:
            noisy = as_channels(noisy, channels)
            cut += [noisy[y : y + _SIDE, x : x + _SIDE] for y in range(block) for x in range(block)]
    pictures = np.stack(cut)
    pictures.flags.writeable = False
    return pictures


def _photograph(camera: DrawnCamera, rng: np.random.Generator, side: int) -> Image | None:
    """None for cameras of other kinds, for those whose frames are scaled, and for those with little noise."""
    way = camera.postprocessing
    if camera.kind not in ("night", "pi") or (way.scale, way.zoom) != (1.0, 1.0):
        return None
    color = np.clip(rng.integers(*_LEVELS) * rng.uniform(0.7, 1.3, 3), 3, 100).astype(np.uint8)
    noisy, clean = camera.photograph(np.broadcast_to(color, (side, side, 3)).copy(), rng)
    return noisy if np.std(noisy.astype(np.float64) - clean) >= _LEAST_NOISE else None
