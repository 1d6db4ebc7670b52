"""Classical filters at the best strength for each picture: a network should be better than these."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quietcam.image import Image, swap_red_blue
from quietcam.metrics import psnr

__all__ = ["FILTERS", "Filter", "Tuned", "climb"]

_LEVEL = 0.02  # dB: a smaller loss counts as no change


@dataclass(frozen=True)
class Filter:
    """A filter: ``apply(noisy, strength)``, uint8 ``(H, W, C)`` in and out, and the strengths to try, ascending.

    ``guess`` takes the standard deviation of the noise in steps of 255 and returns roughly the best strength.
    """

    name: str
    title: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Image, float], Image]
    guess: Callable[[float], float]


class Tuned:
    """A filter that finds its best strength by comparing with the clean picture, which no device has.

    The search climbs from a guess, made from the noise of the picture, to the nearest maximum of PSNR. It does not
    start at the weakest strength, since the first strengths of non-local means may change nothing.

    Attributes:
        chosen: for how many pictures each strength was the best.
    """

    def __init__(self, filter_: Filter) -> None:
        self.filter = filter_
        self.chosen: Counter[float] = Counter()

    @property
    def strength(self) -> float:
        """The median of the chosen strengths."""
        return statistics.median_low(self.chosen.elements()) if self.chosen else self.filter.strengths[0]

    @property
    def at_end(self) -> int:
        """For how many pictures the strongest was the best; for these a stronger one might be better."""
        return self.chosen[self.filter.strengths[-1]]

    def denoise(self, noisy: Image, clean: Image) -> Image:
        """The filtered picture with the highest PSNR against ``clean``."""
        tried: dict[int, tuple[float, Image]] = {}

        def quality(index: int) -> float:
            if index not in tried:
                picture = self.filter.apply(noisy, self.filter.strengths[index])
                tried[index] = psnr(clean, picture), picture
            return tried[index][0]

        deviation = float(np.sqrt(np.mean(np.square(noisy.astype(np.float32) - clean))))
        guess = self.filter.guess(deviation)
        best = int(np.abs(np.array(self.filter.strengths) / guess - 1.0).argmin())
        best = climb(best, len(self.filter.strengths), quality)
        quality(best)
        self.chosen[self.filter.strengths[best]] += 1
        return tried[best][1]

    def __call__(self, noisy: Image) -> Image:
        """``noisy`` filtered at the median strength, as a device would do it."""
        return self.filter.apply(noisy, self.strength)


def climb(start: int, count: int, quality: Callable[[int], float]) -> int:
    """The index of the nearest maximum of ``quality``, of the indices 0 to ``count`` - 1, from ``start`` uphill.

    If a neighbor is equally good, the one after it is tried, too: a filter that is too weak changes nothing at all.
    """
    best = start
    for step in (1, -1):
        while (better := _better(best, step, count, quality)) is not None:
            best = better
    return best


def _better(best: int, step: int, count: int, quality: Callable[[int], float]) -> int | None:
    """The next index on that side that is better; None if there is none."""
    ahead = [index for index in (best + step, best + 2 * step) if 0 <= index < count]
    if not ahead:
        return None
    if quality(ahead[0]) > quality(best):
        return ahead[0]
    is_level = len(ahead) > 1 and quality(ahead[0]) > quality(best) - _LEVEL
    return ahead[1] if is_level and quality(ahead[1]) > quality(best) else None


def _blur(noisy: Image, sigma: float) -> Image:
    """Gaussian blur; ``sigma`` in pixels."""
    import cv2

    return _with_channels(cv2.GaussianBlur(noisy, (0, 0), sigma))


def _nlm(noisy: Image, h: float) -> Image:
    """Non-local means (Buades, Coll and Morel, CVPR 2005) as OpenCV does it: in Lab, one ``h`` for light and color."""
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
        Filter(
            "blur", "Gaussian blur", "sigma", (0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0), _blur, lambda _: 0.8
        ),
        Filter(
            "nlm",
            "Non-local means",
            "h",
            (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0),
            _nlm,
            lambda d: max(1.0, d),
        ),
    )
}
"""Every filter by its name."""
