"""Sources of training patches: crops in memory, a packed set, scenes made on the fly, or a mixture of these."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quietcam.data.crops import Crops
from quietcam.data.packed.reader import ShardSet
from quietcam.errors import UsageError
from quietcam.image import Image

__all__ = ["CropSource", "Mixture", "PatchSource", "SceneSource", "ShardSource"]

Numbers = NDArray[np.int64]


class PatchSource(Protocol):
    """Pairs of patches by their number."""

    side: int
    """Side of a stored patch in pixels, at least that of the training patches."""

    channels: int
    """3 for RGB, 1 for grayscale."""

    def __len__(self) -> int:
        """The number of patches in one pass."""

    def pairs(self, numbers: Numbers, passes: Numbers) -> Sequence[Image]:
        """Noisy and clean of each of ``numbers``, in its pass: uint8 ``(2, side, side, channels)``."""


class CropSource:
    """Crops that are held in memory."""

    def __init__(self, crops: Crops) -> None:
        self._pairs, self.source = crops.pairs, crops.source
        self.side, self.channels = int(crops.pairs.shape[2]), int(crops.pairs.shape[4])

    def __len__(self) -> int:
        return len(self._pairs)

    def pairs(self, numbers: Numbers, passes: Numbers) -> list[Image]:  # noqa: ARG002  every pass is alike
        """Views of the crops."""
        return [self._pairs[i] for i in numbers.tolist()]


class ShardSource:
    """Patches of a packed set.

    Args:
        numbers: the patches to take, such as ``shards.of_side("train")``. Defaults to all.
    """

    def __init__(self, shards: ShardSet, numbers: Numbers | None = None) -> None:
        self.shards = shards
        self._numbers = np.arange(len(shards)) if numbers is None else np.asarray(numbers, np.int64)
        self.side, self.channels = shards.plan.patch, shards.plan.channels

    def __len__(self) -> int:
        return len(self._numbers)

    def pairs(self, numbers: Numbers, passes: Numbers) -> list[Image]:  # noqa: ARG002  every pass is alike
        """Views of the mapped files."""
        return [self.shards.both(i) for i in self._numbers[numbers].tolist()]


class SceneSource:
    """Scenes that worker processes make on request; no two passes show the same scenes.

    Use as a context manager, so that the workers end with it.

    Args:
        make: makes noisy and clean from a seed, uint8 ``(side, side, channels)``; it can be pickled, such as
            ``functools.partial(quietcam.sensor.scenes.make_pair, size=128)``.
        side: side of the pictures that ``make`` returns, in pixels.
        count: how many scenes make a pass.
        seed: seed of the first scene; each further scene has the next seed.
        workers: how many processes. Defaults to one per core, at most 8.
    """

    def __init__(
        self,
        make: Callable[[int], tuple[Image, Image]],
        *,
        side: int,
        count: int,
        channels: int = 3,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        self.side, self.channels, self._count, self._seed, self._make = side, channels, count, seed, make
        # Fresh processes: TensorFlow's threads do not survive a fork.
        self._workers = ProcessPoolExecutor(
            workers or min(8, os.cpu_count() or 1), multiprocessing.get_context("spawn")
        )

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> SceneSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. May be called twice."""
        self._workers.shutdown(cancel_futures=True)

    def pairs(self, numbers: Numbers, passes: Numbers) -> list[Image]:
        """New scenes: each pass has its own seeds."""
        seeds = self._seed + passes * self._count + numbers
        made = [self._workers.submit(self._make, seed) for seed in seeds.tolist()]
        return [np.asarray(each.result(), np.uint8) for each in made]


class Mixture:
    """Several sources at once, each with its share of every batch.

    Args:
        parts: sources, each with a weight above 0; its share is its weight divided by the sum of all weights.

    Raises:
        UsageError: no source, a weight that is not above 0, or sources of different channels.
    """

    def __init__(self, parts: Sequence[tuple[PatchSource, float]]) -> None:
        if not parts:
            raise UsageError("A mixture needs at least one source. Received: none.")
        weights = np.array([weight for _, weight in parts], np.float64)
        if not np.all(np.isfinite(weights) & (weights > 0)):
            raise UsageError(f"Every weight must be above 0. Received: {', '.join(f'{w:g}' for w in weights)}.")
        self.sources = tuple(source for source, _ in parts)
        if len(channels := {source.channels for source in self.sources}) > 1:
            raise UsageError(f"Sources of a mixture must have the same channels. Received: {sorted(channels)}.")
        self.shares = weights / weights.sum()
        self.side, self.channels = min(source.side for source in self.sources), self.sources[0].channels

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def assign(self, places: Numbers) -> tuple[Numbers, Numbers]:
        """For each of these places of an endless stream: the number of its source, and how often that source was used
        before.

        One source after another gets its share, evenly spread, of the places that earlier sources left: a share s gets
        floor(n * s) of n places. So the shares are right in any section, and each place can be computed on its own.
        """
        whose, turn = np.full_like(places, len(self.sources) - 1), places.copy()
        still, left = np.ones(len(places), bool), 1.0
        for index, share in enumerate(self.shares[:-1]):
            part, left = share / left, left - share
            taken = np.floor((turn + 1) * part).astype(np.int64) > np.floor(turn * part).astype(np.int64)
            before = np.floor(turn * part).astype(np.int64)
            mine = still & taken
            whose[mine] = index
            turn = np.where(still, np.where(taken, before, turn - before), turn)
            still &= ~taken
        return whose, turn
