"""Surveys a data set for candidates: cuts patches from every picture, and measures each patch."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quietcam.data.crops import Box, choose_boxes
from quietcam.data.pictures.files import read_picture
from quietcam.data.sets.noisy_pictures import NoisyPicture
from quietcam.data.sets.problems import list_problems, log_problems
from quietcam.errors import DataError, UsageError
from quietcam.estimation import estimate_blind
from quietcam.image import Image, as_channels, to_gray
from quietcam.terminal.progress import progress

__all__ = ["CONTENTS", "MOST_PICTURES", "Gathered", "Survey", "judge_content", "luminance", "survey"]

CONTENTS = ("plain", "some detail", "much detail")
"""Kinds of patches by how much they change. Flat, edge and texture are regions of pixels, see ``compare.regions``."""

MOST_PICTURES = 400
"""Most pictures that are read of a data set; as many as requested patches if these are more."""

_CANDIDATES = 32
"""Boxes that are measured in each picture, as long as all of them fit into the memory below."""

_MEMORY = 256 << 20
_SHOWN = 1 << 20  # pixels of a picture that its histogram is taken from

_CELL = 4  # pixels averaged along each side, which reduces the noise before gradients are measured
_STEP = 6.0  # of 255: a change from cell to cell that counts, above the changes by noise
_SOME, _MUCH = 0.02, 0.25  # share of the cells that change

_BT601 = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Survey:
    """The candidates of a data set. Arrays from ``patches`` to ``content`` have an entry for each, picture by picture.

    Attributes:
        pictures: the pictures that could be read, in the order in which they were read.
        problems: one line for each picture that could not be used.
        unseen: how many pictures were not read.
        patches: uint8 ``(M, size, size, C)``.
        picture: index into ``pictures``.
        box: int32 ``(M, 4)``, x0 y0 x1 y1.
        luminance: mean of the patch, 0 to 255.
        sigma: noise, estimated from the patch alone, in steps of 255.
        content: index into ``CONTENTS``.
        histogram: ``(256,)``, luminance of the pixels of whole pictures, each picture with the same weight, sum 1.
        low, high: least and greatest value of any picture.
        past: of frames of clips: how many frames of the clip came before, 0 for its first frame. None for stills.
        moving: of frames of clips: the share of the patch that shows something else than the frame before, 0 to 1.
    """

    pictures: list[NoisyPicture]
    problems: list[str]
    unseen: int
    patches: NDArray[np.uint8]
    picture: NDArray[np.intp]
    box: NDArray[np.int32]
    luminance: NDArray[np.float64]
    sigma: NDArray[np.float64]
    content: NDArray[np.intp]
    histogram: NDArray[np.float64]
    low: int
    high: int
    past: NDArray[np.intp] | None = None
    moving: NDArray[np.float64] | None = None


@dataclass
class Gathered:
    """What a survey has cut so far."""

    size: int
    patches: list[Image] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    read: list[NoisyPicture] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    histogram: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    low: int = 255
    high: int = 0

    def cut(self, picture: NoisyPicture, pixels: Image, each: int, seed: int) -> list[Box]:
        """Cut ``each`` patches of one picture and two with its ends; returns their boxes, none if it is too small."""
        found = choose_boxes(pixels.shape, self.size, each, f"{seed}:{picture.name}")
        if not found:
            height, width = pixels.shape[:2]
            size = self.size
            self.problems.append(f"{picture.name}: {width}x{height} is smaller than a patch of {size}x{size}")
            return []
        found = list(dict.fromkeys([*found, *_ends(pixels, self.size)]))
        self.patches += [pixels[y0:y1, x0:x1].copy() for x0, y0, x1, y1 in found]
        self.boxes += found
        self.owner += [len(self.read)] * len(found)
        self.read.append(picture)
        self.histogram += _histogram(pixels)
        self.low, self.high = min(self.low, int(pixels.min())), max(self.high, int(pixels.max()))
        return found

    def measure(self, unseen: int) -> Survey:
        """Measure all patches.

        Raises:
            DataError: there is none.
        """
        if not self.read:
            raise DataError(
                f"At least one noisy picture must give a patch of {self.size}x{self.size} pixels. Received: "
                f"{list_problems(self.problems) or 'no pictures'}. Remedy: choose a smaller `size`, or other data."
            )
        log_problems(self.problems, "while choosing patches")
        stacked = np.stack(self.patches)
        sigma = np.array([estimate_blind(patch).sigma for patch in stacked])
        return Survey(
            pictures=self.read,
            problems=self.problems,
            unseen=unseen,
            patches=stacked,
            picture=np.array(self.owner, np.intp),
            box=np.array(self.boxes, np.int32),
            luminance=luminance(stacked),
            sigma=sigma,
            content=judge_content(stacked, sigma),
            histogram=self.histogram / self.histogram.sum(),
            low=self.low,
            high=self.high,
        )


def survey(pictures: Sequence[NoisyPicture], *, size: int, count: int, seed: int = 0, channels: int = 3) -> Survey:
    """Read every picture once. The same arguments give the same candidates, whatever the order of ``pictures``.

    The name of a picture and the seed decide its boxes; two more boxes hold its darkest and its brightest pixel. A
    picture that cannot be used is skipped and logged.

    Raises:
        DataError: no picture can be used.
    """
    order = _take_turns(pictures, seed)[: max(MOST_PICTURES, count)]
    each = _candidates_of_each(len(order), count, size * size * channels)
    gathered = Gathered(size)
    with progress("Looking at pictures", len(order)) as bar:
        for picture in order:
            bar.advance()
            try:
                pixels = as_channels(read_picture(picture.place), channels)
            except (DataError, UsageError) as error:
                gathered.problems.append(f"{picture.name}: {error}")
                continue
            gathered.cut(picture, pixels, each, seed)
    return gathered.measure(len(pictures) - len(order))


def luminance(patches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean luminance (ITU-R BT.601) of patches ``(N, H, W, C)``: ``(N,)`` in 0 to 255."""
    means: NDArray[np.float64] = patches.mean(axis=(1, 2), dtype=np.float64)
    return means @ _BT601 if means.shape[1] == 3 else means[:, 0]


def judge_content(patches: NDArray[np.uint8], sigma: NDArray[np.float64]) -> NDArray[np.intp]:
    """Content of patches ``(N, H, W, C)`` with noise of ``sigma`` (steps of 255): ``(N,)`` indices into ``CONTENTS``.

    Brightness is averaged over cells of 4x4 pixels, and the share of cells that differ from their neighbors is
    counted: under 2 % is plain, under 25 % has some detail, more has much detail.
    """
    cell = _CELL if min(patches.shape[1:3]) >= 8 * _CELL else 2
    found = np.empty(len(patches), np.intp)
    for index, patch in enumerate(patches):
        height, width = (side - side % cell for side in patch.shape[:2])
        gray = to_gray(patch)[:height, :width, 0].astype(np.float32)
        cells = gray.reshape(height // cell, cell, width // cell, cell).mean(axis=(1, 3))
        down, right = np.abs(np.diff(cells, axis=0))[:, :-1], np.abs(np.diff(cells, axis=1))[:-1]
        # Grain is wider than a pixel: a cell's mean keeps up to twice the deviation that white noise would leave.
        least = _STEP + 3.0 * float(sigma[index]) * 2.0 / cell
        share = float((np.maximum(down, right) > least).mean()) if down.size else 0.0
        found[index] = 0 if share < _SOME else 1 if share < _MUCH else 2
    return found


def _take_turns(pictures: Sequence[NoisyPicture], seed: int) -> list[NoisyPicture]:
    """The pictures in an order in which scenes take turns. The seed decides which scene is first."""

    def drawn(picture: NoisyPicture) -> bytes:
        return hashlib.sha256(f"{seed}:{picture.name}".encode(errors="surrogateescape")).digest()

    scenes: defaultdict[str, list[NoisyPicture]] = defaultdict(list)
    for picture in sorted(pictures, key=drawn):
        scenes[picture.scene].append(picture)
    turns = [(turn, picture) for members in scenes.values() for turn, picture in enumerate(members)]
    return [picture for _, picture in sorted(turns, key=lambda each: each[0])]


def _candidates_of_each(pictures: int, count: int, patch: int) -> int:
    """Number of boxes per picture: as many as fit into memory, and at least twice the average share of a picture."""
    pictures = max(pictures, 1)
    return max(2 * -(-count // pictures), min(_CANDIDATES, _MEMORY // (patch * pictures)), 4)


def _ends(pixels: Image, size: int) -> list[Box]:
    """Boxes at even positions around the darkest and the brightest value of a picture."""
    height, width, channels = pixels.shape
    boxes: list[Box] = []
    for place in (int(np.argmin(pixels)), int(np.argmax(pixels))):
        y, x = divmod(place // channels, width)
        y0, x0 = (max(0, min(at - size // 2, side - size)) // 2 * 2 for at, side in ((y, height), (x, width)))
        boxes.append((x0, y0, x0 + size, y0 + size))
    return boxes


def _histogram(pixels: Image) -> NDArray[np.float64]:
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SHOWN) ** 0.5))
    counts = np.bincount(to_gray(pixels[::step, ::step]).reshape(-1), minlength=256)
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares
