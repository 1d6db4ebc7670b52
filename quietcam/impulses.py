"""Estimating impulse noise (salt and pepper) without a clean twin: its share of the pixels, and its power."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quietcam.image import Image

__all__ = ["Impulses", "estimate_impulses"]

_STAND_OUT = 64  # difference to each neighbor in steps of 255, mean over the channels
_ROWS = 24  # of a frame that are examined
_FEWEST = 8  # fewer may be lights or dead pixels
_AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)


class Impulses(NamedTuple):
    """What ``estimate_impulses`` finds.

    Attributes:
        share: share of the examined pixels, 0 to 1, that are black or white in all channels and differ much from all
            eight neighbors.
        power: the squared difference of these pixels to the mean of their neighbors, averaged over all examined values,
            in squared steps of 255.
    """

    share: float
    power: float


def estimate_impulses(frame: Image) -> Impulses:
    """Estimate from uint8 ``(H, W, C)``, on rows spread over the frame.

    Both values are 0 if fewer than eight impulses are found, or H or W is below 3. Thin lines do not count as impulses.
    The share is too small where impulses touch, or lie on black or white areas.
    """
    height, width, _ = frame.shape
    if min(height, width) < 3:
        return Impulses(0.0, 0.0)
    rows = np.arange(1, height - 1, max(1, height // _ROWS))
    first = frame[rows, :, 0].astype(np.int16)
    center = first[:, 1:-1]
    # The cheap tests come first: in a black or overexposed frame every pixel is extreme.
    likely = (center == 0) | (center == 255)
    likely &= (np.abs(center - first[:, :-2]) > _STAND_OUT // 2) & (np.abs(center - first[:, 2:]) > _STAND_OUT // 2)
    row, column = np.nonzero(likely)
    if row.size < _FEWEST:
        return Impulses(0.0, 0.0)
    row, column = rows[row], column + 1
    values = frame[row, column].astype(np.float32)
    around = np.stack([frame[row + y, column + x] for y, x in _AROUND]).astype(np.float32)
    found = (values == values[:, :1]).all(axis=1)
    found &= (np.abs(values - around).mean(axis=2) > _STAND_OUT).all(axis=0)
    if found.sum() < _FEWEST:
        return Impulses(0.0, 0.0)
    power = np.square(values - around.mean(axis=0)).mean(axis=1)[found].sum()
    return Impulses(float(found.sum()) / center.size, float(power) / center.size)
