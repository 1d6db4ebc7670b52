"""Keeps the pixels of the patches where a model is worst, and of no others."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quietcam.data.crops import Box
from quietcam.image import Image
from quietcam.metrics import finite_psnr

__all__ = ["COUNT", "SIDE", "Patch", "PatchScore", "WorstPatches", "patch_errors"]

COUNT = 10
SIDE = 64
"""Side in pixels of the squares that pictures are cut into; those at the right and lower edge are smaller."""


@dataclass(frozen=True)
class PatchScore:
    """One patch. ``box`` is x0, y0, x1, y1 in the sample; PSNR in dB by row; ``drop`` is None without a reference."""

    sample: str
    box: Box
    psnr: dict[str, float]
    drop: float | None


@dataclass(frozen=True)
class Patch:
    """A score and its pixels: uint8 ``(H, W, C)`` by row name, and ``clean``."""

    score: PatchScore
    pictures: dict[str, Image]


class WorstPatches:
    """Of all patches that are offered, the ``COUNT`` with the highest error."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Patch]] = []
        self._order = itertools.count()

    def offer(
        self,
        name: str,
        errors: NDArray[np.float64],
        clean: Image,
        pictures: Mapping[str, Image],
        subject: str,
        reference: str | None,
    ) -> None:
        """Look at the patches of one sample, whose ``errors`` are those of ``patch_errors``; cut those to keep from
        ``pictures``."""
        for place in np.argsort(errors, axis=None)[::-1][:COUNT]:
            row, column = np.unravel_index(int(place), errors.shape)
            error = float(errors[row, column])
            if len(self._heap) == COUNT and error <= self._heap[0][0]:
                return
            y, x = int(row) * SIDE, int(column) * SIDE
            cut = {each: picture[y : y + SIDE, x : x + SIDE].copy() for each, picture in pictures.items()}
            ours = clean[y : y + SIDE, x : x + SIDE].copy()
            values = {each: round(finite_psnr(ours, picture), 4) for each, picture in cut.items()}
            drop = round(values[reference] - values[subject], 4) if reference else None
            box = (x, y, x + ours.shape[1], y + ours.shape[0])
            patch = Patch(PatchScore(name, box, values, drop), cut | {"clean": ours})
            # The order among equal errors is that of arrival: patches themselves cannot be compared.
            heapq.heappush(self._heap, (error, -next(self._order), patch))
            if len(self._heap) > COUNT:
                heapq.heappop(self._heap)

    def patches(self) -> list[Patch]:
        """The patches, the highest error first."""
        return [patch for _, _, patch in sorted(self._heap, key=lambda entry: (-entry[0], -entry[1]))]


def patch_errors(clean: Image, picture: Image) -> NDArray[np.float64]:
    """Mean squared error of each patch in steps of 255, float64 ``(rows, columns)``."""
    squares = np.square(clean.astype(np.int32) - picture).sum(axis=2)
    rows, columns = (np.arange(0, length, SIDE) for length in squares.shape)
    sums = np.add.reduceat(np.add.reduceat(squares, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(np.append(starts, length)) for starts, length in zip((rows, columns), squares.shape, strict=True)
    )
    errors: NDArray[np.float64] = sums / (np.outer(heights, widths) * clean.shape[2])
    return errors
