"""Which patches stand for the camera: spread over scenes and instances, and over brightness within each picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from quietcam.data.crops import Box, choose_boxes
from quietcam.data.pairs import Pair, list_problems, say_problems
from quietcam.data.pictures import read_picture
from quietcam.errors import DataError, UsageError
from quietcam.image import Image
from quietcam.progress import progress, say
from quietcam.representative import RepresentativeSet, patch_sha256

__all__ = ["luminance", "sample"]

_CANDIDATES = 48
"""Boxes looked at in each picture, at least; the wanted ones are those at the wanted quantiles of brightness."""

_BT601 = np.array([0.299, 0.587, 0.114])


def sample(pairs: Sequence[Pair], *, count: int, size: int, seed: int = 0, data: str = "") -> RepresentativeSet:
    """Choose ``count`` noisy patches of ``size`` pixels a side. The same arguments give the same set.

    Every picture gives as many patches as any other, or one more; where there are fewer patches than pictures, scenes
    take turns. All patches together cover the quantiles 0 to 1 of brightness within a picture evenly, so
    the darkest and the brightest corners are in. A picture that cannot be used is skipped and said, and the next ones
    give its share.

    Args:
        data: what the data set is called in the set's origin.

    Raises:
        UsageError: ``count`` or ``size`` under 1.
        DataError: no picture can be used.
    """
    for name, value in (("count", count), ("size", size)):
        if value < 1:
            raise UsageError(f"{name} must be at least 1. Received: {name}={value}.")
    order = _take_turns(pairs, seed)
    targets = list((np.random.default_rng(seed).permutation(count) + 0.5) / count)
    patches: list[Image] = []
    source: list[str] = []
    instance: list[str] = []
    chosen: list[Box] = []
    problems: list[str] = []
    with progress("Choosing patches", min(count, len(order))) as bar:
        for index, pair in enumerate(order):
            if not targets:
                break
            # What is still wanted, shared by the pictures that are left: the first ones take what does not divide.
            share = -(-len(targets) // (len(order) - index))
            try:
                picture = read_picture(pair.noisy)
                boxes = _spread(picture, size, targets[:share], f"{seed}:{pair.name}")
            except (DataError, UsageError) as error:
                problems.append(f"{pair.name}: {error}")
                continue
            if not boxes:
                height, width = picture.shape[:2]
                problems.append(f"{pair.name}: {width}x{height} is smaller than a patch of {size}x{size}")
            for x0, y0, x1, y1 in boxes:
                patches.append(picture[y0:y1, x0:x1].copy())
                source.append(pair.name)
                instance.append(pair.instance.name if pair.instance else "")
                chosen.append((x0, y0, x1, y1))
            del targets[: len(boxes)]
            bar.advance()
    if not patches:
        raise DataError(
            f"At least one noisy picture must give a patch of {size}x{size} pixels. "
            f"Received: {list_problems(problems) or 'no pictures'}. Remedy: choose a smaller --size, or other data."
        )
    say_problems(problems, "while choosing patches")
    if targets:
        say(f"{len(patches)} of {count} patches: the pictures allow no more that differ.")
    return RepresentativeSet(
        patches=np.stack(patches),
        source=tuple(source),
        instance=tuple(instance),
        box=np.array(chosen, np.int32),
        sha256=tuple(patch_sha256(patch) for patch in patches),
        origin={
            "data": data,
            "pictures": len(order),
            "skipped": len(problems),
            "count": count,
            "size": size,
            "seed": seed,
            "quietcam": version("quietcam"),
        },
    )


def luminance(patches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean luminance (ITU-R BT.601) of patches ``(N, H, W, C)``: ``(N,)`` in 0 to 255."""
    means: NDArray[np.float64] = patches.mean(axis=(1, 2), dtype=np.float64)
    return means @ _BT601 if means.shape[1] == 3 else means[:, 0]


def _take_turns(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """The pairs in an order in which scenes take turns; which comes first, the seed decides."""

    def drawn(pair: Pair) -> bytes:
        return hashlib.sha256(f"{seed}:{pair.name}".encode()).digest()

    scenes: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=drawn):
        scenes[pair.scene].append(pair)
    turns = [(turn, pair) for members in scenes.values() for turn, pair in enumerate(members)]
    return [pair for _, pair in sorted(turns, key=lambda each: each[0])]


def _spread(picture: Image, size: int, targets: Sequence[float], key: str) -> list[Box]:
    """For each target, a quantile of brightness in 0 to 1, the box that comes nearest and is not taken yet."""
    boxes = choose_boxes(picture.shape, size, max(_CANDIDATES, 4 * len(targets)), key)
    if not boxes:
        return []
    means = luminance(np.stack([picture[y0:y1, x0:x1] for x0, y0, x1, y1 in boxes]))
    ranked = [boxes[int(i)] for i in np.argsort(means, kind="stable")]
    quantiles = (np.arange(len(ranked)) + 0.5) / len(ranked)
    taken: list[int] = []
    for target in targets[: len(ranked)]:
        distance = np.abs(quantiles - target)
        distance[taken] = np.inf
        taken.append(int(np.argmin(distance)))
    return [ranked[index] for index in taken]
