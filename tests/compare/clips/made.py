"""A clip for tests: a textured scene that stands still, a square that crosses it, and noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compare.clips.clip import ComparedClip, Shot
from quietcam.image import Image

__all__ = ["MadeClip"]


class MadeClip(ComparedClip):
    """Its frames are made anew at each reading, the same each time; ``readings`` counts these."""

    def __init__(self, length: int = 12, *, width: int = 64, height: int = 48, sigma: float = 12.0, name: str = "made"):
        self.name, self.length = name, length
        self._width, self._height, self._sigma = width, height, sigma
        self.readings = 0

    def shots(self) -> Iterator[Shot]:
        """Its frames."""
        self.readings += 1
        rng = np.random.default_rng(5)
        rows, columns = np.mgrid[: self._height, : self._width]
        scene = np.stack([110 + 50 * np.sin(rows / (7 + c)) * np.cos(columns / (9 - c)) for c in range(3)], axis=-1)
        before = np.zeros((self._height, self._width), np.bool_)
        for number in range(self.length):
            clean, here = scene.copy(), np.zeros_like(before)
            left = (3 * number) % (self._width - 8)
            here[4:12, left : left + 8] = True
            clean[here] = (200, 90, 40)
            moving = np.ones_like(here) if number == 0 else here | before
            noisy = clean + rng.normal(0, self._sigma, clean.shape)
            before = here
            yield Shot(_pixels(noisy), _pixels(clean), moving)

    def sides(self) -> tuple[Image, Image]:
        """All noisy and all clean frames, uint8 ``(T, H, W, 3)``."""
        shots = [*self.shots()]
        return np.stack([shot.noisy for shot in shots]), np.stack([shot.clean for shot in shots])


def _pixels(values: NDArray[np.float64]) -> Image:
    pixels: Image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels
