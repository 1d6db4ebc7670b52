"""The do-no-harm gate: decides the network's share in a frame by the noise of this frame and those before it."""

from __future__ import annotations

import math

import numpy as np

from edge.network.gate.temporal_noise import FIRST, TemporalNoiseEstimator
from quietcam.errors import UsageError
from quietcam.estimation import BlindEstimator, estimate_blind
from quietcam.image import Image
from quietcam.impulses import Impulses, estimate_impulses

__all__ = ["HIGH", "LOW", "HarmGate", "blend", "check_strength"]

LOW, HIGH = 2.5, 4.0
"""Sigma in steps of 255. Up to ``LOW`` a frame is clean and passes untouched; from ``HIGH`` on it is noisy."""

_FEW, _MANY = 0.002, 0.004  # share of pixels that are impulses; of 5 % salt and pepper about half is recognized

_EVERY = 8  # one of so many frames of a stream is judged: with caches cold after a network, that costs 0.5 ms
_MEMORY = 2  # judged frames of a stream that are averaged
_EASE = 1 / 8  # part of the way to its new share that the gate moves with each frame of a stream
# Change by noise, both as mean squares. The estimated sigma may be a fifth too small, and so its square by 1.6.
_FAIR, _HARM = 1.6, 2.6
_COMPRESSED = 3.0  # error by temporal noise in calm places, where a codec removed the grain (measured)
_GRAINY, _SMOOTH = (
    0.8,
    0.5,
)  # grain by temporal noise: above the first no codec removed grain, below the second one did
_SHORT = 1.5  # the network may remove this many times the temporal noise of calm places (variances)
_CLOSED, _OPEN = 1 / 128, 1 - 1 / 128  # nearer to 0 or 1 than this, no pixel would change: nothing is blended
_COMPARED = 1 << 15  # about this many values of a frame are compared before and after the network
_RUN = 48  # values in a row that are compared: 16 pixels, to use the cache lines that are fetched
_SMALLEST = 8  # pixels on a side, at least, to estimate noise


class HarmGate:
    """Decides the network's share for each frame.

    Call ``look`` with the noisy frame before the network runs, and ``weigh`` with both frames after it.

    First question: is there noise? Up to ``low`` the frame is clean and the network need not run. From ``low`` to
    ``high`` its share grows. Salt and pepper open the gate, too. Video codecs remove the fine grain by which the noise
    of a single frame is measured, and leave smooth noise. So in a stream, noise over time is measured as well
    (:class:`edge.network.gate.temporal_noise.TemporalNoiseEstimator`). Where frames change, the network runs for two
    frames of eight, to distinguish noise from motion.

    Second question: does the network remove more than noise? With noisy = clean + e and denoised = clean + h, and e and
    h independent, the blend noisy + w (denoised - noisy) has the least mean square error at w = e² / (e² + h²) =
    noise / mean square of (noisy - denoised). Here noise is sigma² plus the power of the impulses, or the power of the
    temporal noise if that is larger. A network that changes the frame by more than its noise harms texture, and gets
    only that share. Since the estimate may be too small, the share is not reduced before the excess is clear.

    Args:
        stream: frames come from one camera, one after another. The gate then looks at some blocks of every eighth
            frame, and from the fourth frame on its share moves by an eighth of the way per frame, so that video does
            not flicker. Otherwise each picture is judged alone.
        low, high: sigma in steps of 255.

    Raises:
        UsageError: ``low`` and ``high`` are not two levels, the lower first.
    """

    def __init__(self, stream: bool = False, low: float = LOW, high: float = HIGH) -> None:
        if not 0 <= low < high < math.inf:
            raise UsageError(
                "The do-no-harm gate opens between two noise levels, the lower first. "
                f"Received: low={low}, high={high}."
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
        """The last estimate of noise within the frame or over time, whichever is larger, in steps of 255.

        None before the first frame, and where frames are too small for an estimate.
        """
        if self._grain is None or self._temporal is None:
            return self._grain
        return max(self._grain, math.sqrt(self._temporal.power))

    def look(self, noisy: Image) -> bool:
        """Whether there is enough noise to run the network. ``noisy`` is uint8 ``(H, W, C)``."""
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
            return True  # in a stream the gate closes as smoothly as it opens
        self._share = 0.0
        if not suspected and self._temporal is not None:
            self._temporal.weigh(None)
        return suspected

    def weigh(self, noisy: Image, denoised: Image) -> float:
        """The network's share in the picture, 0 to 1; exactly 0 or 1 if it is near to one of them."""
        told = self._temporal is not None and self._temporal.weigh(denoised)
        if self._judged or told:
            self._merit = self._judge(noisy, denoised)
        return self._ease(self._opening() * self._merit)

    def follow(self, other: HarmGate) -> None:
        """Continue with the noise and the share of another gate, whose network is replaced by this one's."""
        self._shape, self._share, self._frames = other._shape, other._share, other._frames
        self._grain, self._estimator, self._impulses = other._grain, other._estimator, other._impulses
        if other._temporal is not None:
            self._temporal = TemporalNoiseEstimator(other._shape)
            self._temporal.expect(other._temporal)

    def resume(self) -> None:
        """Note that frames were left out. Known temporal noise still counts; everything else is judged again."""
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
        """Whether this frame differs so much from those before it that the network must separate noise from motion."""
        most = None if self._temporal is None else self._temporal.look(noisy)
        return most is not None and self._over_time(most) > self._low

    def _over_time(self, power: float) -> float:
        """Sigma of frames whose temporal noise has this variance in calm places."""
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
        """The share for the picture: moved smoothly, and 0 or 1 if it is near to one of them."""
        if self._stream and self._share is not None and self._frames > FIRST:
            wanted = self._share + (wanted - self._share) * _EASE
        self._share = wanted
        return 0.0 if wanted < _CLOSED else 1.0 if wanted > _OPEN else wanted


def check_strength(strength: float) -> float:
    """``strength``, unchanged, after a check.

    Raises:
        UsageError: it is not between 0 and 1.
    """
    if not 0.0 <= strength <= 1.0:
        raise UsageError(
            "The strength is the network's share, from 0 (the frame stays unchanged) to 1 (all of the network). "
            f"Received: {strength:g}. Remedy: for example `strength=0.7`."
        )
    return float(strength)


def blend(noisy: Image, denoised: Image, share: float) -> None:
    """Write noisy + share * (denoised - noisy), rounded, into ``denoised``. Both are uint8 of the same shape."""
    if share == 1.0:
        return
    if share == 0.0:
        np.copyto(denoised, noisy)
        return
    import cv2

    cv2.addWeighted(noisy, 1.0 - share, denoised, share, 0.0, dst=denoised)


def _way(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high`` on, smooth between them."""
    way = min(max((value - low) / (high - low), 0.0), 1.0)
    return way * way * (3.0 - 2.0 * way)


def _mean_square(a: Image, b: Image) -> float:
    """Mean square of the difference, on runs of values spread over the frame."""
    runs = a.size // _RUN
    step = (runs * _RUN // _COMPARED) | 1  # odd, so that runs do not stand in columns
    first, second = (image.reshape(-1)[: runs * _RUN].reshape(runs, _RUN)[::step] for image in (a, b))
    change = np.subtract(first, second, dtype=np.float32)
    return float(np.einsum("ij,ij->", change, change)) / change.size
