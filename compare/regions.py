"""Divides a picture into flat, edge and texture regions, and into light and dark; counts false contours of banding.

The clean picture alone decides, so that all methods are measured on the same pixels. This is what "flat",
"edge" and "texture" mean in every report.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quietcam.image import Image, to_gray

__all__ = ["LIGHTS", "REGIONS", "classify", "contours", "lights"]

REGIONS = ("flat", "edge", "texture")
"""The names of the numbers that ``classify`` returns."""

LIGHTS = ("shadows", "middle", "highlights")
"""The names of the numbers that ``lights`` returns: luma under 64, under 192, and 192 or more."""

_FLAT = 3.0  # steps of 255 a pixel, root mean square: smaller gradients are shading and remaining noise
_COHERENT = 0.6  # of 1: from here on, the gradients around a pixel have one direction
_WINDOW = 7
_PLATEAU = 4
_STEP = 2


def classify(clean: Image) -> NDArray[np.uint8]:
    """The region of each pixel, uint8 ``(H, W)``, numbers of ``REGIONS``.

    It is found from the structure tensor of luma, averaged over 7x7 pixels (Bigün and Granlund, ICCV 1987). A pixel is
    flat if the root mean square gradient is under 3 steps of 255 a pixel. Otherwise its coherence, (l1 - l2) / (l1 +
    l2) of the tensor's eigenvalues, distinguishes an edge (0.6 and more: one direction) from texture.
    """
    light = to_gray(clean)[..., 0].astype(np.float32)
    down, across = (np.gradient(light, axis=axis) if light.shape[axis] > 1 else np.zeros_like(light) for axis in (0, 1))
    xx, yy, xy = (_mean(product) for product in (across * across, down * down, across * down))
    energy = xx + yy
    coherence = np.sqrt((xx - yy) ** 2 + 4.0 * xy * xy) / np.maximum(energy, 1e-6)
    regions = np.where(coherence >= _COHERENT, REGIONS.index("edge"), REGIONS.index("texture"))
    return np.where(energy < _FLAT**2, REGIONS.index("flat"), regions).astype(np.uint8)


def lights(clean: Image) -> NDArray[np.uint8]:
    """How light each pixel is, uint8 ``(H, W)``, numbers of ``LIGHTS``."""
    light = to_gray(clean)[..., 0]
    return (light >= 64).astype(np.uint8) + (light >= 192)


def contours(picture: Image, flat: NDArray[np.bool_]) -> int:
    """Count the false contours in the flat parts of a picture: a measure of banding.

    A contour is a step of 2 or more of 255 between two plateaus of 4 equal pixels, along a row or a column, in one
    channel. The best shading that 8 bits can show has steps of 1; coarser codes give wider plateaus with higher steps.

    Args:
        picture: uint8 ``(H, W, C)``.
        flat: ``(H, W)``, where to look; all 8 pixels must lie in it.
    """
    values = picture.astype(np.int16)
    return _contours(values, flat) + _contours(values.transpose(1, 0, 2), flat.T)


def _contours(values: NDArray[np.int16], flat: NDArray[np.bool_]) -> int:
    """Along the first axis."""
    length = values.shape[0]
    if length < 2 * _PLATEAU:
        return 0
    steps = np.diff(values, axis=0)
    level = steps == 0
    places = length - 2 * _PLATEAU + 1
    found = np.abs(steps[_PLATEAU - 1 : _PLATEAU - 1 + places]) >= _STEP
    inside = np.ones((places, flat.shape[1]), bool)
    for offset in range(2 * _PLATEAU):
        inside &= flat[offset : offset + places]
        if offset not in (_PLATEAU - 1, 2 * _PLATEAU - 1):
            found &= level[offset : offset + places]
    return int(np.count_nonzero(found & inside[..., np.newaxis]))


def _mean(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean over 7x7 pixels, the edge repeated outwards."""
    half = _WINDOW // 2
    sums = np.pad(plane, half, "edge").astype(np.float64)
    for axis in (0, 1):
        total = np.cumsum(sums, axis=axis)
        total = np.insert(total, 0, 0.0, axis=axis)
        length = plane.shape[axis]
        sums = np.take(total, range(_WINDOW, _WINDOW + length), axis) - np.take(total, range(length), axis)
    mean: NDArray[np.float64] = sums / _WINDOW**2
    return mean
