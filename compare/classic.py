"""Classical filters at the best strength for each picture: a network should be better than these."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quietcam.image import Image, swap_red_blue
from quietcam.metrics import psnr

__all__ = ["FILTERS", "Axes", "Filter", "Setting", "Tuned", "climb", "search"]

_LEVEL = 0.02  # dB: a smaller loss counts as no change

Setting = tuple[float, ...]
"""One value for each axis of a filter."""

Axes = Mapping[str, tuple[float, ...]]
"""The values to try, ascending, by the name of what they set. The first axis is the strength."""


@dataclass(frozen=True)
class Filter:
    """A filter: ``apply(noisy, *setting)``, uint8 ``(H, W, C)`` in and out.

    ``guess`` takes the standard deviation of the noise in steps of 255 and returns roughly the best setting.
    """

    name: str
    title: str
    axes: Axes
    apply: Callable[..., Image]
    guess: Callable[[float], Setting]

    def start(self, deviation: float) -> Setting:
        """Of each axis the value that is nearest to the guess, by ratio, for noise of this standard deviation."""
        guesses = zip(self.axes.values(), self.guess(deviation), strict=True)
        return tuple(_nearest(axis, guess) for axis, guess in guesses)

    def describe(self, setting: Sequence[float]) -> str:
        """A setting as people read it."""
        return ", ".join(f"{name} {value:g}" for name, value in zip(self.axes, setting, strict=True))


class Tuned:
    """A filter that finds its best setting by comparing with the clean picture, which no device has.

    The search climbs from a guess, made from the noise of the picture, to the nearest maximum of PSNR. It does not
    start at the weakest strength, since the first strengths of non-local means may change nothing.

    Attributes:
        chosen: for how many pictures each setting was the best.
    """

    def __init__(self, filter_: Filter) -> None:
        self.filter = filter_
        self.chosen: Counter[Setting] = Counter()

    @property
    def setting(self) -> Setting:
        """On each axis, the median of the chosen values."""
        if not self.chosen:
            return tuple(axis[0] for axis in self.filter.axes.values())
        return tuple(map(statistics.median_low, zip(*self.chosen.elements(), strict=True)))

    @property
    def strongest(self) -> tuple[str, float]:
        """The name of the strength and the most of it that is tried."""
        name, axis = next(iter(self.filter.axes.items()))
        return name, axis[-1]

    @property
    def at_end(self) -> int:
        """For how many pictures the strongest was the best; for these a stronger one might be better."""
        return sum(count for setting, count in self.chosen.items() if setting[0] == self.strongest[1])

    def denoise(self, noisy: Image, clean: Image) -> Image:
        """The filtered picture with the highest PSNR against ``clean``."""
        tried: dict[Setting, tuple[float, Image]] = {}

        def quality(setting: Setting) -> float:
            if setting not in tried:
                picture = self.filter.apply(noisy, *setting)
                tried[setting] = psnr(clean, picture), picture
            return tried[setting][0]

        deviation = float(np.sqrt(np.mean(np.square(noisy.astype(np.float32) - clean))))
        best = search(self.filter.axes, self.filter.start(deviation), quality)
        quality(best)
        self.chosen[best] += 1
        return tried[best][1]

    def __call__(self, noisy: Image) -> Image:
        """``noisy`` filtered at the median setting, as a device would do it."""
        return self.filter.apply(noisy, *self.setting)


def _nearest(axis: tuple[float, ...], wanted: float) -> float:
    return min(axis, key=lambda value: abs(value / wanted - 1.0))


def search(axes: Axes, start: Setting, quality: Callable[[Setting], float]) -> Setting:
    """The setting from which no step along any axis gives more ``quality``: each axis is climbed in turn."""
    values = [*axes.values()]
    best = [axis.index(value) for axis, value in zip(values, start, strict=True)]

    def setting(indices: Sequence[int]) -> Setting:
        return tuple(axis[index] for axis, index in zip(values, indices, strict=True))

    while True:
        before = [*best]
        for place, axis in enumerate(values):
            others = [*best]

            def along(index: int, place: int = place, others: list[int] = others) -> float:
                return quality(setting([*others[:place], index, *others[place + 1 :]]))

            best[place] = climb(best[place], len(axis), along)
        if best == before:
            return setting(best)


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


def _median(noisy: Image, side: float) -> Image:
    """The median of each channel in a square of ``side`` pixels, an odd number."""
    import cv2

    return _with_channels(cv2.medianBlur(noisy, int(side)))


def _bilateral(noisy: Image, color: float, space: float) -> Image:
    """Bilateral filter (Tomasi and Manduchi, ICCV 1998): a Gaussian blur of sigma ``space``, in pixels, that gives less
    weight to pixels that differ much, by a Gaussian of sigma ``color``, in steps of 255."""
    import cv2

    return _with_channels(cv2.bilateralFilter(noisy, -1, color, space))


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
            "blur",
            "Gaussian blur",
            {"sigma": (0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0, 4.0, 5.0, 7.0)},
            _blur,
            lambda _: (0.8,),
        ),
        Filter(
            "median", "Median", {"side": (3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 19.0, 23.0)}, _median, lambda _: (3.0,)
        ),
        Filter(
            "bilateral",
            "Bilateral filter",
            {
                "color": (5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 110.0, 150.0, 200.0, 300.0),
                "space": (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0),
            },
            _bilateral,
            lambda deviation: (max(5.0, 3 * deviation), 5.0),
        ),
        Filter(
            "nlm",
            "Non-local means",
            {"h": (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0)},
            _nlm,
            lambda deviation: (max(1.0, deviation),),
        ),
    )
}
"""Every filter by its name."""
