"""The do-no-harm gate: how much of the network a frame needs, from how noisy the frame is."""

from __future__ import annotations

import math

import numpy as np

from quietcam.errors import UsageError
from quietcam.estimation import BlindEstimator, estimate_blind
from quietcam.image import Image
from quietcam.impulses import Impulses, estimate_impulses

__all__ = ["HIGH", "LOW", "Gate", "blend", "check_strength"]

LOW, HIGH = 2.5, 4.0
"""Sigma in steps of 255: up to ``LOW`` a frame is clean and passes untouched, from ``HIGH`` on it is noisy."""

_FEW, _MANY = 0.002, 0.004  # impulses among the pixels; of 5 % salt and pepper a good half is seen as such

_EVERY = 8  # one of so many frames of a stream is judged: after a network the caches are cold, and looking costs 0.5 ms
_MEMORY = 2  # judged frames of a stream that an estimate rests on
_EASE = 1 / 8  # how much of the way to its new place the gate goes with each frame of a stream
_FAIR, _HARM = (
    1.6,
    2.6,
)  # change by noise, both as mean squares; the estimate may be short by a fifth, its square by 1.6
_CLOSED, _OPEN = 1 / 128, 1 - 1 / 128  # nearer to the ends than this, not a pixel is blended
_COMPARED = 1 << 15  # values of a frame, about, that are compared before and after
_RUN = 48  # values that are compared in a row: 16 pixels, so that a line of the cache that was fetched is used
_SMALLEST = 8  # pixels of a side that noise can be estimated on


class Gate:
    """Decides per frame. ``look`` at the noisy frame before the network runs, ``weigh`` both frames after it.

    Two things count. Is there noise? Up to ``low`` the frame is clean and the network need not run; up to ``high`` it
    is let in by and by; so it is where salt and pepper stand out. And does the network take away noise, or more than
    that? Of noisy = clean + e and denoised = clean + h, with e and h independent, the blend noisy + w (denoised -
    noisy) has the least mean square error at w = e² / (e² + h²) = noise / mean square of (noisy - denoised), where
    noise is sigma² and the impulses' power: a network that changes the frame by more than its noise is harming texture,
    and comes in by that share only. Since the estimate may be short, nothing is taken from the network until the excess
    is plain.

    Args:
        stream: frames follow each other, from one camera: some blocks of every eighth are looked at, and the share
            moves smoothly from frame to frame, so that video does not flicker. Otherwise each picture stands alone.
        low, high: sigma in steps of 255.

    Attributes:
        sigma: the last estimate, in steps of 255; None before the first, and of frames too small for one.
    """

    def __init__(self, stream: bool = False, low: float = LOW, high: float = HIGH) -> None:
        if not 0 <= low < high < math.inf:
            raise UsageError(
                f"A gate opens between two noise levels, the lower first. Received: low={low}, high={high}."
            )
        self.sigma: float | None = None
        self._stream, self._low, self._high = stream, low, high
        self._estimator: BlindEstimator | None = None
        self._share: float | None = None
        self._shape: tuple[int, ...] = ()
        self._frames, self._judged, self._merit = 0, True, 1.0
        self._impulses = Impulses(0.0, 0.0)

    def look(self, noisy: Image) -> bool:
        """Is there noise enough for the network to run? ``noisy`` is uint8 ``(H, W, C)``."""
        if noisy.shape != self._shape:
            self._shape, self._frames, self._share, self._estimator = noisy.shape, 0, None, None
        self._judged = not self._stream or self._frames % _EVERY == 0
        self._frames += 1
        if self._judged:
            self.sigma = self._estimate(noisy)
            self._impulses = estimate_impulses(noisy)
        if self._opening() > 0.0 or (self._stream and (self._share or 0.0) * (1.0 - _EASE) >= _CLOSED):
            return True  # a stream's gate closes as smoothly as it opens
        self._share = 0.0
        return False

    def weigh(self, noisy: Image, denoised: Image) -> float:
        """The network's share in what is shown, 0 to 1; exactly 0 or 1 where that is all but so."""
        if self._judged:
            self._merit = self._judge(noisy, denoised)
        return self._ease(self._opening() * self._merit)

    def _estimate(self, noisy: Image) -> float | None:
        if min(noisy.shape[:2]) < _SMALLEST:
            return None
        if not self._stream:
            return estimate_blind(noisy).sigma
        if self._estimator is None:
            height, width, channels = noisy.shape
            self._estimator = BlindEstimator((height, width, channels), memory=_MEMORY)
        return self._estimator.update(noisy).sigma

    def _opening(self) -> float:
        if self.sigma is None:
            return 1.0
        return max(_way(self.sigma, self._low, self._high), _way(self._impulses.share, _FEW, _MANY))

    def _judge(self, noisy: Image, denoised: Image) -> float:
        if self.sigma is None:
            return 1.0
        excess = _mean_square(noisy, denoised) / max(self.sigma**2 + self._impulses.power, 1e-6)
        if excess >= _HARM:
            return 1.0 / excess
        return 1.0 - (1.0 - 1.0 / _HARM) * max(excess - _FAIR, 0.0) / (_HARM - _FAIR)

    def _ease(self, wanted: float) -> float:
        """The share that is shown; 0 or 1 near the ends."""
        if self._stream and self._share is not None:
            wanted = self._share + (wanted - self._share) * _EASE
        self._share = wanted
        return 0.0 if wanted < _CLOSED else 1.0 if wanted > _OPEN else wanted


def check_strength(strength: float) -> float:
    """``strength`` itself when it is a share.

    Raises:
        UsageError: it is not in 0 to 1.
    """
    if not 0.0 <= strength <= 1.0:
        raise UsageError(
            "The strength is the network's share, 0 (leaves the frame as it is) to 1 (all of it). "
            f"Received: {strength:g}. Remedy: for example --strength 0.7"
        )
    return float(strength)


def blend(noisy: Image, denoised: Image, share: float) -> None:
    """noisy + share * (denoised - noisy), rounded, into ``denoised``; both uint8 of one shape. 1 touches nothing."""
    if share == 1.0:
        return
    if share == 0.0:
        np.copyto(denoised, noisy)
        return
    import cv2

    cv2.addWeighted(noisy, 1.0 - share, denoised, share, 0.0, dst=denoised)


def _way(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high`` on, and smooth between."""
    way = min(max((value - low) / (high - low), 0.0), 1.0)
    return way * way * (3.0 - 2.0 * way)


def _mean_square(a: Image, b: Image) -> float:
    """Of the difference, on runs spread over the frame. What is not contiguous in memory is copied first."""
    runs = a.size // _RUN
    step = (runs * _RUN // _COMPARED) | 1  # odd, so that runs do not stand in columns
    first, second = (image.reshape(-1)[: runs * _RUN].reshape(runs, _RUN)[::step] for image in (a, b))
    change = np.subtract(first, second, dtype=np.float32)
    return float(np.einsum("ij,ij->", change, change)) / change.size
