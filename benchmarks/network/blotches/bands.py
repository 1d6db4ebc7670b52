"""How much of the noise of plain areas is left as blotches and as grain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image

__all__ = ["BANDS", "Area", "band_deviations", "flat_areas"]

SIDE = 64  # pixels of an area
BANDS = {"blotches": (4.0, 32.0), "grain": (2.0, 4.0)}
"""What people see of noise, by the lengths of its waves in pixels: from the first up to, and not with, the second."""
SEEN = (4.0, 235.0)  # steps of 255: darker and brighter areas are clipped
DARK = 48.0  # steps of 255
PLAIN, STEP = 0.2, 16

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Area:
    """A plain area of 64x64 pixels, and the mean of its pixels in steps of 255."""

    top: int
    left: int
    mean: float

    @property
    def is_dark(self) -> bool:
        return self.mean < DARK

    def of(self, picture: Image) -> Floats:
        """Its pixels in a picture, float64 ``(64, 64, C)``."""
        return picture[self.top : self.top + SIDE, self.left : self.left + SIDE].astype(np.float64)


def flat_areas(noisy: Image, denoised: Image) -> list[Area]:
    """The plain areas of a scene, the plainest first: where ``denoised``, by any network, deviates from a plane by at
    most a fifth of what ``noisy`` does. Both uint8 of the same shape. No two areas overlap."""
    found = []
    for top in range(0, noisy.shape[0] - SIDE + 1, STEP):
        for left in range(0, noisy.shape[1] - SIDE + 1, STEP):
            area = Area(top, left, float(noisy[top : top + SIDE, left : left + SIDE].mean()))
            scene, all_of_it = (_off_plane(area.of(each)).std() for each in (denoised, noisy))
            if SEEN[0] <= area.mean <= SEEN[1] and scene <= PLAIN * all_of_it:
                found.append((round(float(scene / all_of_it), 2), area))
    taken: list[Area] = []
    for _, area in sorted(found, key=lambda each: each[0]):
        if all(max(abs(area.top - other.top), abs(area.left - other.left)) >= SIDE for other in taken):
            taken.append(area)
    return taken


def band_deviations(picture: Image, areas: Sequence[Area], band: tuple[float, float]) -> tuple[float, float]:
    """Standard deviation of luma, and of the two chromas together, in a band of wavelengths, over all areas.

    Of each area the plane that fits it best is taken away, and its Fourier transform under a Hann window is summed over
    the band. White noise of deviation s has s times the square root of the band's share of the plane of frequencies.
    Luma and chroma as in JPEG (BT.601).
    """
    window = np.outer(*[np.hanning(SIDE + 1)[:-1]] * 2)
    frequency = np.fft.fftfreq(SIDE)
    radius = np.hypot(frequency[:, None], frequency)
    inside = (radius > 1 / band[1]) & (radius <= 1 / band[0])
    powers = []
    for area in areas:
        red, green, blue = np.moveaxis(_off_plane(area.of(picture)), -1, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        planes = np.stack([luma, (blue - luma) * 0.564, (red - luma) * 0.713])
        spectrum = np.abs(np.fft.fft2(planes * window)) ** 2
        powers.append(spectrum[:, inside].sum(1) / (SIDE**2 * np.square(window).sum()))
    luma_power, *chroma = np.mean(powers, axis=0)
    return float(np.sqrt(luma_power)), float(np.sqrt(sum(chroma)))


def _off_plane(pixels: Floats) -> Floats:
    """What deviates from the best plane of each channel, ``(64, 64, C)``."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    basis = np.stack([np.ones(SIDE * SIDE), y.ravel(), x.ravel()], axis=1)
    flat = pixels.reshape(SIDE * SIDE, -1)
    fit = basis @ np.linalg.lstsq(basis, flat, rcond=None)[0]
    left: Floats = (flat - fit).reshape(pixels.shape)
    return left
