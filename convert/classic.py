"""Classical filters, each at its best strength: what a network has to beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from quietcam.image import Image, swap_red_blue
from quietcam.metrics import psnr

__all__ = ["FILTERS", "Filter", "Tuned", "tune"]

_MOST_DB = 100.0


@dataclass(frozen=True)
class Filter:
    """A filter of one strength: ``apply(noisy, strength)``, uint8 ``(H, W, C)`` in and out."""

    name: str
    title: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Image, float], Image]


@dataclass(frozen=True)
class Tuned:
    """A filter at the strength that suits a whole set best.

    Attributes:
        strength: the one of the highest mean PSNR over the set.
        grid: mean PSNR in dB by strength.
        psnr_each: mean PSNR where each picture has the strength that suits it best, which nobody knows beforehand.
    """

    filter: Filter
    strength: float
    grid: dict[float, float]
    psnr_each: float

    @property
    def at_edge(self) -> bool:
        """Is the best strength the weakest or strongest one tried, so that a better one may lie beyond?"""
        return self.strength in (self.filter.strengths[0], self.filter.strengths[-1])

    def __call__(self, noisy: Image) -> Image:
        return self.filter.apply(noisy, self.strength)


def tune(filters: Sequence[Filter], pairs: Iterable[tuple[Image, Image]]) -> list[Tuned]:
    """Find each filter's best strength on ``(noisy, clean)`` pictures: all strengths on all, one picture in memory."""
    tables: list[list[list[float]]] = [[] for _ in filters]
    for noisy, clean in pairs:
        for filter_, table in zip(filters, tables, strict=True):
            table.append([min(_MOST_DB, psnr(clean, filter_.apply(noisy, s))) for s in filter_.strengths])
    tuned = []
    for filter_, table in zip(filters, tables, strict=True):
        values = np.array(table)
        means = values.mean(axis=0)
        grid = {s: round(float(m), 4) for s, m in zip(filter_.strengths, means, strict=True)}
        best = filter_.strengths[int(means.argmax())]
        tuned.append(Tuned(filter_, best, grid, float(values.max(axis=1).mean())))
    return tuned


def _blur(noisy: Image, sigma: float) -> Image:
    """Gaussian blur; ``sigma`` in pixels."""
    import cv2

    return _with_channels(cv2.GaussianBlur(noisy, (0, 0), sigma))


def _nlm(noisy: Image, h: float) -> Image:
    """Non-local means (Buades, Coll and Morel, CVPR 2005) as OpenCV has it, in Lab; one ``h`` for light and colour."""
    import cv2

    if noisy.shape[2] == 1:
        return _with_channels(cv2.fastNlMeansDenoising(noisy, None, h, 7, 21))
    denoised = cv2.fastNlMeansDenoisingColored(swap_red_blue(noisy), None, h, h, 7, 21)
    return swap_red_blue(_with_channels(denoised))


def _with_channels(image: object) -> Image:
    """OpenCV drops the axis of a single channel."""
    array = np.asarray(image, np.uint8)
    return array if array.ndim == 3 else array[..., None]


FILTERS = {
    each.name: each
    for each in (
        Filter("blur", "Gaussian blur", "sigma", (0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0), _blur),
        Filter("nlm", "Non-local means", "h", (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0), _nlm),
    )
}
"""Every filter by its name."""
