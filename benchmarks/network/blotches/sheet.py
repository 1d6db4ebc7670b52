"""Pictures to look at: plain areas of what each network made, beside each other, at 100 % and enlarged three times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.network.blotches.bands import SIDE, Area
from quietcam.image import Image

__all__ = ["enlarged", "sheet", "window"]

TITLE, GAP = 24, 4  # pixels


def window(shape: tuple[int, int], areas: Sequence[Area], side: int) -> tuple[int, int]:
    """Top and left of a square of ``side`` pixels in a picture of ``shape`` (height, width) that holds the most of the
    areas; of several such squares, the first."""

    def held(corner: tuple[int, int]) -> int:
        return sum(
            0 <= area.top - corner[0] <= side - SIDE and 0 <= area.left - corner[1] <= side - SIDE for area in areas
        )

    most = tuple(max(0, length - side) for length in shape)
    corners = [
        (min(one.top, most[0]), min(other.left, most[1])) for one in areas for other in areas
    ]  # the best square touches an area above and one at its left
    return max(corners, key=held, default=(0, 0))


def enlarged(image: Image, times: int) -> Image:
    """Each pixel as a square of ``times`` pixels."""
    return np.repeat(np.repeat(image, times, 0), times, 1)


def sheet(pictures: Mapping[str, Image], corners: Sequence[tuple[int, int]], side: int, times: int) -> Image:
    """A column for each picture under its name, and a row for each corner: squares of ``side`` pixels, enlarged.

    Pictures are uint8 ``(H, W, 3)`` of one shape. So is the sheet.
    """
    import cv2

    columns = []
    for name, picture in pictures.items():
        parts = []
        for top, left in corners:
            part = enlarged(picture[top : top + side, left : left + side], times)
            parts += [part, np.full((GAP, part.shape[1], 3), 255, np.uint8)]
        title = np.full((TITLE, parts[0].shape[1], 3), 255, np.uint8)
        cv2.putText(title, name, (4, TITLE - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        column = np.vstack([title, *parts])
        columns += [column, np.full((len(column), GAP, 3), 255, np.uint8)]
    return np.hstack(columns[:-1])
