"""Salt and pepper: which share of a picture is it, and how strong? Without a clean twin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quietcam.image import Image

__all__ = ["Impulses", "estimate_impulses"]

_STAND_OUT = 64  # steps of 255 to each neighbour, on average over the channels
_ROWS = 24  # of a frame that are looked at
_FEWEST = 8  # a light or a dead pixel more or less says nothing
_AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)


class Impulses(NamedTuple):
    """What ``estimate_impulses`` finds.

    Attributes:
        share: of the pixels that were looked at, those that are black or white in all channels and stand out from all
            eight neighbours, 0 to 1.
        power: mean square of how far these are off their neighbours' mean, over all values that were looked at, in
            squared steps of 255.
    """

    share: float
    power: float


def estimate_impulses(frame: Image) -> Impulses:
    """Of uint8 ``(H, W, C)``, on rows spread over the frame; none where they are fewer than eight, or H or W below 3.

    Lines, however thin, are none. The share falls short where impulses touch, or lie on what is black or white itself.
    """
    height, width, _ = frame.shape
    if min(height, width) < 3:
        return Impulses(0.0, 0.0)
    rows = np.arange(1, height - 1, max(1, height // _ROWS))
    first = frame[rows, :, 0].astype(np.int16)
    centre = first[:, 1:-1]
    # What is cheap to ask comes first: of a black or an overexposed frame every pixel is extreme.
    likely = (centre == 0) | (centre == 255)
    likely &= (np.abs(centre - first[:, :-2]) > _STAND_OUT // 2) & (np.abs(centre - first[:, 2:]) > _STAND_OUT // 2)
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
    return Impulses(float(found.sum()) / centre.size, float(power) / centre.size)
