"""Crops of pairs in memory: each frame is decoded once, and no more than one pair of frames is held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from quietcam.data.sets.pairs import Pair
from quietcam.data.sets.problems import list_problems, log_problems
from quietcam.errors import DataError, UsageError
from quietcam.image import Image, as_channels
from quietcam.terminal.progress import progress

__all__ = ["Box", "Crops", "NoRoomError", "choose_boxes", "cut_crops"]

Box = tuple[int, int, int, int]
"""Pixels of a picture: x0, y0, x1, y1, the last two exclusive."""


class NoRoomError(DataError):
    """No picture is as large as a crop.

    Attributes:
        most: side in pixels of the largest crop for which one of the pictures has room.
    """

    def __init__(self, message: str, most: int) -> None:
        super().__init__(message)
        self.most = most


@dataclass(frozen=True)
class Crops:
    """Crops of pairs.

    Attributes:
        pairs: uint8 ``(N, 2, size, size, C)``, RGB or gray, noisy before clean.
        source: name of the pair and box, for each of the N.
        problems: what was skipped, one line each.
    """

    pairs: Image
    source: list[tuple[str, Box]]
    problems: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def noisy(self) -> Image:
        """uint8 ``(N, size, size, C)``, a view."""
        return self.pairs[:, 0]

    @property
    def clean(self) -> Image:
        """uint8 ``(N, size, size, C)``, a view."""
        return self.pairs[:, 1]


def cut_crops(
    pairs: Iterable[Pair],
    size: int,
    *,
    per_picture: int = 1,
    seed: int = 0,
    limit: int | None = None,
    channels: int = 3,
) -> Crops:
    """Cut up to ``per_picture`` square crops of ``size`` pixels from each pair.

    Boxes depend only on the name of the pair and ``seed``, not on other pairs, and start at even pixels, so that a
    Bayer pattern keeps its phase. A picture that has room for fewer distinct boxes gives fewer crops. Pairs that
    cannot be used, or are smaller than a crop, are skipped, listed in ``problems``, and logged.

    Args:
        pairs: read in the order of their names.
        size: side of a crop in pixels.
        per_picture: the most crops of one pair.
        seed: another seed gives other boxes.
        limit: the most crops altogether. If it is less than all pairs would give, each pair gives fewer; if it is less
            than the number of pairs, pairs are chosen by name and seed.
        channels: 3 for RGB, 1 for gray.

    Raises:
        UsageError: a number under 1.
        NoRoomError: all pairs that can be used are smaller than a crop.
        DataError: no pair can be used.
    """
    for name, value in (("size", size), ("per_picture", per_picture), ("limit", 1 if limit is None else limit)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1. Received: {name}={value}. Remedy: choose a larger one.")
    shares = _shares(list(pairs), per_picture, limit, seed)
    room = _room(sum(share for _, share in shares), size, channels)
    source: list[tuple[str, Box]] = []
    problems: list[str] = []
    most = 0
    with progress("Cutting crops", len(shares)) as bar:
        for pair, share in shares:
            try:
                frames = pair.read()
                boxes = choose_boxes(frames[0].shape, size, share, f"{seed}:{pair.name}")
                if not boxes:
                    height, width = frames[0].shape[:2]
                    most = max(most, min(height, width))
                    problems.append(f"{pair.name}: {width}x{height} is smaller than a patch of {size}x{size}")
                for box in boxes:
                    x0, y0, x1, y1 = box
                    room[len(source), 0] = as_channels(frames[0][y0:y1, x0:x1], channels)
                    room[len(source), 1] = as_channels(frames[1][y0:y1, x0:x1], channels)
                    source.append((pair.name, box))
                del frames  # before the next pair is decoded, not after
            except (DataError, UsageError) as error:
                problems.append(f"{pair.name}: {error}")
            bar.advance()
    if not source:
        message = (
            f"At least one pair must give a patch of {size}x{size} pixels. "
            f"Received: {list_problems(problems) or 'no pairs'}. "
            "Remedy: repair these pictures, or choose a smaller patch."
        )
        raise NoRoomError(message, most) if most else DataError(message)
    log_problems(problems, "while cutting crops")
    return Crops(room[: len(source)], source, problems)


def choose_boxes(shape: tuple[int, ...], size: int, count: int, key: str) -> list[Box]:
    """Up to ``count`` distinct boxes of ``size`` pixels in an image of ``shape`` (H, W, ...), at even x0 and y0.

    Only ``key`` decides which boxes; they are sorted from top to bottom. If the image is too small, there are none.
    """
    height, width = shape[:2]
    if min(height, width) < size:
        return []
    rows, columns = (height - size) // 2 + 1, (width - size) // 2 + 1
    generator = np.random.default_rng(int.from_bytes(_digest(key)[:8], "little"))
    places = generator.choice(rows * columns, min(count, rows * columns), replace=False)
    corners = [(2 * (int(place) // columns), 2 * (int(place) % columns)) for place in np.sort(places)]
    return [(x, y, x + size, y + size) for y, x in corners]


def _room(count: int, size: int, channels: int) -> Image:
    # Memory that is reserved here is used only when it is written, so skipped pairs take none.
    try:
        return np.empty((count, 2, size, size, channels), np.uint8)
    except (MemoryError, ValueError) as error:
        raise UsageError(
            f"Crops must fit into memory. Received: {count} pairs of {size}x{size} pixels, "
            f"{2 * channels * count * size**2 / 2**30:.0f} GiB. Remedy: choose fewer or smaller crops."
        ) from error


def _shares(pairs: list[Pair], per_picture: int, limit: int | None, seed: int) -> list[tuple[Pair, int]]:
    """Each pair with the number of crops that it gives: equal within one, and at most ``limit`` together."""
    ordered = sorted(pairs, key=lambda pair: pair.name)
    if limit is None or limit >= per_picture * len(ordered):
        return [(pair, per_picture) for pair in ordered]
    drawn = sorted(ordered, key=lambda pair: _digest(f"{seed}:{pair.name}"))
    base, extra = divmod(limit, len(ordered))
    shares = {pair.name: base + (i < extra) for i, pair in enumerate(drawn)}
    return [(pair, shares[pair.name]) for pair in ordered if shares[pair.name]]


def _digest(name: str) -> bytes:
    """The hash of a name, the same on every machine, even if the name is not valid text."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).digest()
