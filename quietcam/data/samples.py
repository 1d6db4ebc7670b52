"""The pictures that scores are measured on: whole pictures, or crops if a picture is too large to filter quickly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quietcam.data.crops import choose_boxes
from quietcam.data.sets.pairs import Pair
from quietcam.data.sets.problems import list_problems
from quietcam.errors import DataError, UsageError
from quietcam.image import Image

__all__ = ["Sample", "SampleSet"]

_LARGE = 1 << 20  # pixels
_CROP = 512
_CROPS = 4


@dataclass(frozen=True)
class Sample:
    """A noisy picture and its clean twin, uint8 ``(H, W, 3)``, whole or a crop, as ``name`` says."""

    name: str
    pair: Pair
    noisy: Image
    clean: Image


class SampleSet:
    """Pairs that can be read repeatedly, one at a time in memory.

    Of a picture of more than a megapixel, 4 crops of 512x512 are used, always the same ones; each is a sample.
    Pairs that cannot be read are left out and named in ``problems``.

    Args:
        limit: the most pairs to use, evenly spread over the list. Defaults to all.

    Raises:
        DataError: there are no pairs.
    """

    def __init__(self, pairs: Sequence[Pair], limit: int | None = None) -> None:
        if not pairs:
            raise DataError("Scores need pairs of noisy and clean pictures. Received: none. Remedy: check `data`.")
        count = len(pairs) if limit is None else min(limit, len(pairs))
        chosen = np.linspace(0, len(pairs) - 1, count).round().astype(int)
        self.pairs = [pairs[int(index)] for index in chosen]
        self.problems: list[str] = []

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Sample]:
        """Every sample.

        Raises:
            DataError: not one pair can be read.
        """
        problems: list[str] = []
        for pair in self.pairs:
            try:
                noisy, clean = pair.read()
            except (DataError, UsageError) as error:
                problems.append(f"{pair.name}: {error}")
                continue
            yield from _cut(pair, noisy, clean)
        self.problems = problems
        if len(problems) == len(self.pairs):
            raise DataError(
                f"At least one pair must be readable. Received: {list_problems(problems)}. "
                "Remedy: repair these pictures, or choose other data."
            )

    def spread(self, count: int = 6) -> Iterator[Sample]:
        """About ``count`` samples, evenly spread over the pairs; those that cannot be read are left out."""
        for index in np.linspace(0, len(self.pairs) - 1, min(count, len(self.pairs))).round().astype(int):
            pair = self.pairs[int(index)]
            try:
                noisy, clean = pair.read()
            except (DataError, UsageError):
                continue
            yield next(_cut(pair, noisy, clean))

    def find(self, name: str) -> Sample:
        """The sample of that name, read again."""
        for pair in self.pairs:
            if name == pair.name or name.startswith(f"{pair.name} @"):
                for sample in _cut(pair, *pair.read()):
                    if sample.name == name:
                        return sample
        raise KeyError(name)


def _cut(pair: Pair, noisy: Image, clean: Image) -> Iterator[Sample]:
    height, width = noisy.shape[:2]
    if height * width <= _LARGE or min(height, width) < _CROP:
        yield Sample(pair.name, pair, noisy, clean)
        return
    for x0, y0, x1, y1 in choose_boxes(noisy.shape, _CROP, _CROPS, pair.name):
        yield Sample(f"{pair.name} @{x0},{y0}", pair, noisy[y0:y1, x0:x1].copy(), clean[y0:y1, x0:x1].copy())
