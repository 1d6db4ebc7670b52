"""The do-no-harm gate: how much of the network a frame needs, from how noisy it and the frames before it are."""

from __future__ import annotations

import math

import numpy as np

from edge.network.temporal_noise import FIRST, TemporalNoiseEstimator
from quietcam.errors import UsageError
from quietcam.estimation import BlindEstimator, estimate_blind
from quietcam.image import Image
from quietcam.impulses import Impulses, estimate_impulses

__all__ = ["HIGH", "LOW", "HarmGate", "blend", "check_strength"]

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
_COMPRESSED = 3.0  # a frame's error by its noise over time in calm places, where a codec took the grain (measured)
_GRAINY, _SMOOTH = 0.8, 0.5  # noise within the frame by noise over time: above the one no codec took any, below most
_SHORT = 1.5  # so many times the noise over time of calm places, as variances, may the network take from all places
_CLOSED, _OPEN = 1 / 128, 1 - 1 / 128  # nearer to the ends than this, not a pixel is blended
_COMPARED = 1 << 15  # values of a frame, about, that are compared before and after
_RUN = 48  # values that are compared in a row: 16 pixels, so that a line of the cache that was fetched is used
_SMALLEST = 8  # pixels of a side that noise can be estimated on


class HarmGate:
    """Decides per frame. ``look`` at the noisy frame before the network runs, ``weigh`` both frames after it.

    Two things count. Is there noise? Up to ``low`` the frame is clean and the network need not run; up to ``high`` it
    is let in by and by; so it is where salt and pepper stand out. Video codecs take away the fine grain, which tells
    the noise of a single frame, and leave smooth noise. So in a stream noise is looked for over time, too
    (:class:`edge.network.temporal_noise.TemporalNoiseEstimator`): where frames change, the network runs for two
    frames of eight, to tell noise from motion.

    And does the network take away noise, or more than that? Of noisy = clean + e and denoised = clean + h, with e and h
    independent, the blend noisy + w (denoised - noisy) has the least mean square error at w = e² / (e² + h²) = noise /
    mean square of (noisy - denoised), where noise is sigma² and the impulses' power, or the noise's power over
    time, whichever is larger: a network that changes the frame by more than its noise is harming texture, and comes in
    by that share only. Since the estimate may be short, nothing is taken from the network until the excess is plain.

    Args:
        stream: frames follow each other, from one camera: some blocks of every eighth are looked at, and the share
            moves by an eighth of its way a frame, from the fourth on, so that video does not flicker. Otherwise each
            picture stands alone.
        low, high: sigma in steps of 255.

    """

    def __init__(self, stream: bool = False, low: float = LOW, high: float = HIGH) -> None:
        if not 0 <= low < high < math.inf:
            raise UsageError(
                f"A gate opens between two noise levels, the lower first. Received: low={low}, high={high}."
            )
        self._grain: float | None = None  # sigma, from the frame alone
        self._stream, self._low, self._high = stream, low, high
        self._estimator: BlindEstimator | None = None
        self._share: float | None = None
        self._shape: tuple[int, ...] = ()
        self._frames, self._judged, self._merit = 0, True, 1.0
        self._impulses = Impulses(0.0, 0.0)
        self._temporal: TemporalNoiseEstimator | None = None

    @property
    def sigma(self) -> float | None:
        """The last estimate, in steps of 255: of noise within the frame or over time, whichever is larger.

        None before the first, and of frames too small for one.
        """
        if self._grain is None or self._temporal is None:
            return self._grain
        return max(self._grain, math.sqrt(self._temporal.power))

    def look(self, noisy: Image) -> bool:
        """Is there noise enough for the network to run? ``noisy`` is uint8 ``(H, W, C)``."""
        if noisy.shape != self._shape:
            self._shape, self._frames, self._share, self._estimator = noisy.shape, 0, None, None
            timed = self._stream and TemporalNoiseEstimator.fits(noisy.shape)
            self._temporal = TemporalNoiseEstimator(noisy.shape) if timed else None
        self._judged = not self._stream or self._frames % _EVERY == 0
        self._frames += 1
        if self._judged:
            self._grain = self._estimate(noisy)
            self._impulses = estimate_impulses(noisy)
        suspected = self._suspect(noisy)
        if self._opening() > 0.0 or (self._stream and (self._share or 0.0) * (1.0 - _EASE) >= _CLOSED):
            return True  # a stream's gate closes as smoothly as it opens
        self._share = 0.0
        if not suspected and self._temporal is not None:
            self._temporal.weigh(None)
        return suspected

    def weigh(self, noisy: Image, denoised: Image) -> float:
        """The network's share in what is shown, 0 to 1; exactly 0 or 1 where that is all but so."""
        told = self._temporal is not None and self._temporal.weigh(denoised)
        if self._judged or told:
            self._merit = self._judge(noisy, denoised)
        return self._ease(self._opening() * self._merit)

    def follow(self, other: HarmGate) -> None:
        """Go on with the noise and the share that another gate left, whose network this one's replaces."""
        self._shape, self._share, self._frames = other._shape, other._share, other._frames
        self._grain, self._estimator, self._impulses = other._grain, other._estimator, other._impulses
        if other._temporal is not None:
            self._temporal = TemporalNoiseEstimator(other._shape)
            self._temporal.expect(other._temporal)

    def resume(self) -> None:
        """Frames were left out since the last one: known noise over time still counts, all else is judged afresh."""
        self._share, self._frames, self._estimator = None, 0, None
        if self._temporal is not None:
            known, self._temporal = self._temporal, TemporalNoiseEstimator(self._shape)
            self._temporal.expect(known)

    def _estimate(self, noisy: Image) -> float | None:
        if min(noisy.shape[:2]) < _SMALLEST:
            return None
        if not self._stream:
            return estimate_blind(noisy).sigma
        if self._estimator is None:
            height, width, channels = noisy.shape
            self._estimator = BlindEstimator((height, width, channels), memory=_MEMORY)
        return self._estimator.update(noisy).sigma

    def _suspect(self, noisy: Image) -> bool:
        """Does this frame differ from those before it by so much that the network has to tell noise from motion?"""
        most = None if self._temporal is None else self._temporal.look(noisy)
        return most is not None and self._over_time(most) > self._low

    def _over_time(self, power: float) -> float:
        """Sigma of frames whose noise has this variance over time in calm places."""
        sigma = math.sqrt(power)
        grain = min(max((self._grain or 0.0) / max(sigma, 1e-6), _SMOOTH), _GRAINY)
        return sigma * (1.0 + (_COMPRESSED - 1.0) * (_GRAINY - grain) / (_GRAINY - _SMOOTH))

    def _opening(self) -> float:
        if self._grain is None:
            return 1.0
        sigma = max(self._grain, 0.0 if self._temporal is None else self._over_time(self._temporal.power))
        return max(_way(sigma, self._low, self._high), _way(self._impulses.share, _FEW, _MANY))

    def _judge(self, noisy: Image, denoised: Image) -> float:
        if self._grain is None:
            return 1.0
        noise = self._grain**2 + self._impulses.power
        if self._temporal is not None:
            noise = max(noise, _SHORT * self._temporal.power)
        excess = _mean_square(noisy, denoised) / max(noise, 1e-6)
        if excess >= _HARM:
            return 1.0 / excess
        return 1.0 - (1.0 - 1.0 / _HARM) * max(excess - _FAIR, 0.0) / (_HARM - _FAIR)

    def _ease(self, wanted: float) -> float:
        """The share that is shown; 0 or 1 near the ends."""
        if self._stream and self._share is not None and self._frames > FIRST:
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
