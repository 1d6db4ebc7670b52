"""Divides a picture into its noisy half and its denoised half, and aligns them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError
from quietcam.image import Image, to_gray

__all__ = ["aligned", "divide", "find_split"]

PLAIN = 6.0  # steps of 255: the deviation along a line of a frame that somebody drew around a half
FRAME = 24  # pixels: the widest such frame
GUIDE = 3.0  # pixels: noise is blurred by this before the halves are aligned
LEAST = 0.8  # correlation of two halves that show one scene


def find_split(picture: Image) -> int:
    """The column at which the noise changes most: those to its left, and those from it on, are each as alike in their
    noise as they can be."""
    gray = to_gray(picture)[..., 0].astype(np.float64)
    noise = np.log1p(np.median(np.abs(gray[2:] - 2 * gray[1:-1] + gray[:-2]), axis=0))
    count = np.arange(1, len(noise))
    left = np.cumsum(noise)[:-1]
    right = noise.sum() - left
    explained = left**2 / count + right**2 / (len(noise) - count)
    least = len(noise) // 10
    return int(count[least:-least][np.argmax(explained[least:-least])])


def divide(picture: Image, split: int | None = None) -> tuple[Image, Image]:
    """The left and the right half, uint8 of the same shape, of which the same pixel shows the same place.

    Args:
        picture: uint8 ``(H, W, 3)``. Plain frames around the halves are cut off.
        split: the column where the right half begins. Defaults to ``find_split``.

    Raises:
        DataError: the halves do not show one scene.
    """
    column = find_split(picture) if split is None else split
    if not 4 * FRAME < column < picture.shape[1] - 4 * FRAME:
        raise DataError(
            f"The right half must begin inside of the picture. Received: column {column} of {picture.shape[1]}. "
            "Remedy: name the column with `split`."
        )
    return aligned(_without_frame(picture[:, :column]), _without_frame(picture[:, column:]))


def aligned(one: Image, other: Image) -> tuple[Image, Image]:
    """What both pictures show, of the same shape.

    Raises:
        DataError: they do not show one scene.
    """
    import cv2

    blurred = [cv2.GaussianBlur(each, (0, 0), GUIDE) for each in (one, other)]
    height, width = (min(sides) for sides in zip(one.shape[:2], other.shape[:2], strict=True))
    top, left = height // 4, width // 4
    part = blurred[1][top : height - top, left : width - left]
    found = cv2.minMaxLoc(cv2.matchTemplate(blurred[0], part, cv2.TM_CCOEFF_NORMED))
    if found[1] < LEAST:
        raise DataError(
            f"Both halves must show the same scene. Received: a correlation of {found[1]:.2f} between them. "
            "Remedy: name the column where the right half begins with `split`."
        )
    x, y = found[3][0] - left, found[3][1] - top  # where the other's first pixel lies in the one
    one, other = one[max(0, y) :, max(0, x) :], other[max(0, -y) :, max(0, -x) :]
    rows, columns = (min(sides) for sides in zip(one.shape[:2], other.shape[:2], strict=True))
    return np.ascontiguousarray(one[:rows, :columns]), np.ascontiguousarray(other[:rows, :columns])


def _without_frame(half: Image) -> Image:
    """Without its outermost lines, up to the last plain one near each side."""
    rows = _inside(half.astype(np.float32).std(axis=1).mean(-1))
    half = half[rows]
    return half[:, _inside(half.astype(np.float32).std(axis=0).mean(-1))]


def _inside(deviation: NDArray[np.float32]) -> slice:
    plain = np.flatnonzero(deviation < PLAIN)
    first = max((int(each) + 1 for each in plain if each < FRAME), default=0)
    last = min((int(each) for each in plain if each >= len(deviation) - FRAME), default=len(deviation))
    return slice(first, last)
