"""Salt and pepper: which share of a picture is it, and how strong? Without a clean twin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quietcam.image import Image

__all__ = ["Impulses", "estimate_impulses"]

_STAND_OUT = 64  # steps of 255 to either neighbour
_ROWS = 24  # of a frame that are looked at


class Impulses(NamedTuple):
    """What ``estimate_impulses`` finds.

    Attributes:
        share: of the pixels that are black or white in all channels and stand out from both neighbours, 0 to 1.
        power: mean square of what they are off their neighbours' mean, over all values, in squared steps of 255.
    """

    share: float
    power: float


def estimate_impulses(frame: Image) -> Impulses:
    """Of uint8 ``(H, W, C)``, on rows spread over the frame. Nothing stands out of fewer than three columns.

    The share falls short where impulses touch or lie on what is black or white itself.
    """
    height, width, _ = frame.shape
    if width < 3:
        return Impulses(0.0, 0.0)
    rows = frame[:: max(1, height // _ROWS)]
    middle = rows[:, 1:-1]
    first = middle[:, :, 0]
    at = np.nonzero((first == 0) | (first == 255))
    values = middle[at]
    extreme = (values == values[:, :1]).all(axis=1)
    at = at[0][extreme], at[1][extreme]
    centre = middle[at].astype(np.float32)
    left, right = (side[at].astype(np.float32) for side in (rows[:, :-2], rows[:, 2:]))
    stands_out = np.minimum(np.abs(centre - left), np.abs(centre - right)).mean(axis=1) > _STAND_OUT
    off = np.square(centre - (left + right) / 2).mean(axis=1)
    return Impulses(float(stands_out.sum()) / first.size, float(off[stands_out].sum()) / first.size)
