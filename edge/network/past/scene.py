"""SceneTest: whether a frame shows what the frame before it showed, but for noise and what moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quietcam.estimation import BlindEstimator
from quietcam.image import Image

__all__ = ["LEAST", "SceneTest"]

LEAST = 0.4
"""The part of a frame's blocks that the frame before must explain. Frames of one shot were explained to 0.81 at the
least on real clips, and to 0.52 on made-up ones, in a fast pan. A light that is switched is a cut by this measure. A
cut between scenes whose difference drowns in the noise is none: at gain 24, 6 of 36 cuts between real clips were not
seen, which costs up to 0.3 dB in one frame. ``python -m benchmarks.network.history`` measures it."""

_SHORT, _LONG = 8, 12  # blocks along the shorter and the longer side of a frame
_SIDE, _STRIDE = 4, 2  # values on a side of a block, and pixels between them: 8x8 pixels, a cell of the network
_FOOTPRINT = (_SIDE - 1) * _STRIDE + 1
_SMALLEST = 8  # pixels on a side, at least, to estimate noise
_SLACK = 1.6  # the mean of 16 squares of noise is rarely larger than this many times its expectation
_LEAST_SIGMA = 2.0  # steps of 255: codecs and clean pictures have less noise than their smallest movements
_EVERY = 8  # frames between two estimates of the noise, where nobody else estimates it

_Floats = NDArray[np.float32]


class SceneTest:
    """Compares some blocks of each frame with the same blocks of the frame before, against the noise.

    A block is explained if its mean square change is at most 1.6 times that of noise alone, 2 sigma². The cost is the
    same for frames of every size.

    Args:
        shape: of the frames, ``(H, W, C)``.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        height, width, channels = shape
        self._places = _places(shape) if min(height, width) >= _SMALLEST and channels in (1, 3) else None
        self._before: _Floats | None = None
        self._estimator = BlindEstimator(shape) if self._places is not None else None
        self._frames, self._sigma = 0, 0.0

    def explained(self, noisy: Image, sigma: float | None = None) -> float:
        """The part of a frame's blocks that the last frame given explains, 0 to 1.

        It is 1 for the first frame, and for frames that are too small to tell.

        Args:
            noisy: uint8 of the shape.
            sigma: its noise in steps of 255; None: estimated here, for one of eight frames.
        """
        if self._places is None:
            return 1.0
        now = noisy[self._places].astype(np.float32)  # a frame whose rows are padded in memory is not copied
        if sigma is None:
            sigma = self._estimate(noisy)
        before, self._before = self._before, now
        if before is None:
            return 1.0
        change = now - before
        square = np.einsum("bi,bi->b", change, change)
        most = _SLACK * 2.0 * max(sigma, _LEAST_SIGMA) ** 2
        return float(np.count_nonzero(square <= most * change.shape[1])) / len(square)

    def _estimate(self, noisy: Image) -> float:
        assert self._estimator is not None
        if self._frames % _EVERY == 0:
            self._sigma = self._estimator.update(noisy).sigma
        self._frames += 1
        return self._sigma


def _places(shape: tuple[int, int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Where the sampled values of a frame are: rows and columns, ``(blocks, values)``, and the channel: green, or the
    only one.
    """
    height, width, channels = shape
    rows, columns = (_SHORT, _LONG) if width >= height else (_LONG, _SHORT)
    y = ((np.arange(rows) + 0.5) * (height - _FOOTPRINT) / rows).astype(np.intp)
    x = ((np.arange(columns) + 0.5) * (width - _FOOTPRINT) / columns).astype(np.intp)
    steps = np.arange(_SIDE) * _STRIDE
    tops, lefts = np.repeat(y, columns)[:, np.newaxis], np.tile(x, rows)[:, np.newaxis]
    return tops + np.repeat(steps, _SIDE), lefts + np.tile(steps, _SIDE), channels // 2
