"""What a network leaves at fixed places: a pattern of 2x2 pixels, and larger errors at the border of a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.network.interpreter import Interpreter
from quietcam.image import Image

__all__ = ["Border", "Denoise", "Pattern", "border_of", "denoiser_of", "phase_error", "phases"]

Floats = NDArray[np.float64]
Denoise = Callable[[Image], Floats]
"""uint8 ``(H, W, C)`` to what it becomes, in steps of 255, not rounded where a network gives more."""

BLOCK, RIM, OUTER = 2, 16, 2  # pixels


@dataclass(frozen=True)
class Border:
    """Mean squared error of the outer two pixels of each side, over that of the inside, which begins 16 pixels from the
    border; and the PSNR of the whole frame and of the inside, dB. Means over pictures."""

    top: float
    bottom: float
    left: float
    right: float
    whole: float
    inside: float


@dataclass(frozen=True)
class Pattern:
    """A pattern of 2x2 pixels, in steps of 255.

    Attributes:
        largest, rms: of the mean over pictures, over phases and channels: the largest value, and the root mean square.
        uncertain: the standard error of these means, root mean square.
        single: the root mean square of the single pictures' patterns, which need not have the same sign in all.
    """

    largest: float
    rms: float
    uncertain: float
    single: float


def denoiser_of(interpreter: Interpreter) -> Denoise:
    """A network as a function. A float network's values are not rounded to pixels."""
    model = interpreter.model

    def denoise(noisy: Image) -> Floats:
        if model.ends != "float32" or model.block:
            pixels = np.empty_like(noisy)
            interpreter.run(noisy, pixels)
            return pixels.astype(np.float64)
        interpreter.put(noisy)
        interpreter.invoke()
        values = dict(zip(model.outputs, interpreter.outputs(), strict=True))["denoised"][0]
        height, width = noisy.shape[:2]
        shown: Floats = np.clip(values[:height, :width].astype(np.float64), 0.0, 1.0) * 255.0
        return shown

    return denoise


def phases(error: Floats) -> Floats:
    """The mean error at each of the four phases of a block, ``(2, 2, C)``, less the mean of all of them."""
    means = np.array([[error[y::BLOCK, x::BLOCK].mean((0, 1)) for x in range(BLOCK)] for y in range(BLOCK)])
    centered: Floats = means - means.mean((0, 1))
    return centered


def phase_error(denoise: Denoise, pairs: Iterable[tuple[Image, Image]]) -> Pattern:
    """The pattern of 2x2 pixels that a network leaves in flat pictures, without their border: the mean of ``phases``
    over ``(noisy, clean)`` pairs.

    Each pair is measured at all four places of a block. So the camera's own pattern is at all phases and cancels out.
    """
    found = np.array([np.mean([*map(phases, _errors(denoise, *pair))], axis=0) for pair in pairs])
    mean, variance = found.mean(0), found.var(0) / len(found)
    return Pattern(float(np.abs(mean).max()), _rms(mean), float(np.sqrt(variance.mean())), _rms(found))


def _errors(denoise: Denoise, noisy: Image, clean: Image) -> Iterator[Floats]:
    """The error of the inside, with both sides moved by every part of a block; what leaves a side comes in opposite."""
    for place in np.ndindex(BLOCK, BLOCK):
        moved, wanted = (np.roll(each, place, (0, 1)) for each in (noisy, clean))
        yield (denoise(moved) - wanted)[RIM:-RIM, RIM:-RIM]


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def border_of(denoise: Denoise, pairs: Iterable[tuple[Image, Image]]) -> Border:
    """How much larger the error at the border of a frame is than inside. ``(noisy, clean)`` pairs."""
    found = []
    for noisy, clean in pairs:
        squares = np.square(denoise(noisy) - clean).mean(-1)
        inside = squares[RIM:-RIM, RIM:-RIM].mean()
        sides = (
            squares[:OUTER, RIM:-RIM],
            squares[-OUTER:, RIM:-RIM],
            squares[RIM:-RIM, :OUTER],
            squares[RIM:-RIM, -OUTER:],
        )
        levels = (10 * np.log10(255**2 / max(each, 1e-9)) for each in (squares.mean(), inside))
        found.append([*(side.mean() / max(inside, 1e-9) for side in sides), *levels])
    return Border(*map(float, np.mean(found, axis=0)))
