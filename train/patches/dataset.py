"""Streams training patches with tf.data, from a packed set, crops in memory or scenes made on the fly.

numpy builds whole batches: a separate element in tf.data for each patch would cost more time than copying it. A batch
depends only on its number and the seed, so several can be built at once and the stream stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from quietcam.data.crops import Crops
from quietcam.errors import UsageError
from quietcam.image import Image
from train.patches.batch_memory import BatchMemory
from train.patches.extra_noise import ExtraNoise
from train.patches.orders import Orders
from train.patches.prefetcher import Prefetcher
from train.patches.sources import CropSource, Mixture, PatchSource

__all__ = ["Batches", "as_pixels", "check_source", "training_patches", "turned"]

Numbers = NDArray[np.int64]


def training_patches(
    source: Crops | PatchSource | Mixture,
    *,
    patch: int,
    batch: int,
    seed: int,
    as_float: bool = True,
    endless: bool = True,
    augment: bool = True,
    first: int = 0,
    extra: ExtraNoise | None = None,
) -> tf.data.Dataset:
    """A stream of batches ``(noisy, clean)``, float32 ``(batch, patch, patch, C)`` in [0, 1].

    Every pass uses each stored patch once, in a new order. A larger patch is cut to ``patch`` at a random even position
    (which keeps the Bayer phase), mirrored and turned by a multiple of 90 degrees; all eight orientations are equally
    likely. In a mixture each source has its own passes. The same seed gives the same stream.

    Args:
        as_float: False keeps uint8, which is a quarter of the bytes to transfer to an accelerator.
        endless: True gives pass after pass, in full batches. False gives one pass, for a mixture as many patches as its
            sources have together; the last batch may be smaller.
        augment: mirror and turn. Patches are always cut at random.
        first: number of the first batch, to continue a stream where another run left it.
        extra: plain noise that replaces the noise of some pairs. Defaults to none.

    Raises:
        UsageError: ``patch`` is larger than the stored patches, or there are none.
    """
    patches = CropSource(source) if isinstance(source, Crops) else source
    for each in _parts(patches):
        check_source(each, patch)
    memory = BatchMemory()
    batches = Batches(patches, patch, batch, seed=seed, endless=endless, augment=augment, memory=memory, extra=extra)
    kind = np.float32 if as_float else np.uint8
    last = None if endless else -(-len(patches) // batch)

    def make(number: int) -> Image | NDArray[np.float32]:
        both = batches.make(number)
        return np.divide(both, np.float32(255), out=memory.empty(both.shape, np.float32)) if as_float else both

    prefetcher = Prefetcher(make, last)
    shape = [batch if endless else None, patch, patch, patches.channels]

    def take(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noisy, clean = tf.numpy_function(prefetcher.take, [number], (kind, kind))
        return tf.ensure_shape(noisy, shape), tf.ensure_shape(clean, shape)

    # No parallel map and no prefetch by TensorFlow: its threads would be in Python when the interpreter ends, and hang.
    numbers = tf.data.Dataset.counter(start=first) if last is None else tf.data.Dataset.range(first, last)
    return numbers.map(take)


def _parts(source: PatchSource | Mixture) -> tuple[PatchSource, ...]:
    return source.sources if isinstance(source, Mixture) else (source,)


def check_source(source: PatchSource, patch: int) -> None:
    """Raise UsageError if ``source`` has no patches, or smaller ones than ``patch``."""
    if patch > source.side:
        raise UsageError(
            f"A patch is cut from a stored one and cannot be larger. Received: patch={patch}, stored {source.side}. "
            f"Remedy: train with patch = {source.side} or smaller, or pack or cut larger ones."
        )
    if not len(source):
        raise UsageError("Training needs at least one patch. Received: none. Remedy: check the data set.")


class Batches:
    """Batches by their number; arguments as in ``training_patches``."""

    def __init__(
        self,
        source: PatchSource | Mixture,
        patch: int,
        batch: int,
        *,
        seed: int,
        endless: bool = True,
        augment: bool = True,
        memory: BatchMemory | None = None,
        extra: ExtraNoise | None = None,
    ) -> None:
        self._source, self._patch, self._batch, self._seed = source, patch, batch, seed
        self._endless, self._augment = endless, augment
        self._memory, self._extra = memory or BatchMemory(), extra
        self._orders = Orders(seed)

    def cuts(self, number: int) -> Iterable[tuple[Image, list[int], int]]:
        """For each patch of a batch: its stored pair, the cut's position (y, x), and its orientation, 0 to 7."""
        pairs = self._pairs(number)
        places, turns = self._draw(number, [pair.shape[1] for pair in pairs])
        return zip(pairs, places, turns, strict=True)

    def make(self, number: int) -> Image:
        """Noisy and clean of the batch, uint8 ``(2, batch, patch, patch, C)``."""
        cuts = list(self.cuts(number))
        size, channels = self._patch, self._source.channels
        batch: Image = self._memory.empty((2, len(cuts), size, size, channels), np.uint8)
        pixels = as_pixels(batch)
        for i, (pair, (y, x), turn) in enumerate(cuts):
            cut = pair[:, y : y + size, x : x + size]
            if turn:
                # A pixel as one value of three bytes: a third of the work if the order of pixels changes.
                pixels[:, i] = turned(as_pixels(cut), turn)
            else:
                batch[:, i] = cut
        if self._extra:
            self._extra.apply(batch, np.random.default_rng([self._seed, 2, number]))
        return batch

    def _pairs(self, batch: int) -> list[Image]:
        """The stored patches of a batch: first shuffled, then repeated, so that every patch of a source is seen once
        before any is seen again."""
        end = (batch + 1) * self._batch
        places = np.arange(batch * self._batch, end if self._endless else min(end, len(self._source)))
        if not isinstance(self._source, Mixture):
            return self._of_part(0, self._source, places)
        whose, turns = self._source.assign(places)
        found: list[Image] = [np.empty(0, np.uint8)] * len(places)
        for part, source in enumerate(self._source.sources):
            here = np.flatnonzero(whose == part)
            if len(here):
                for place, pair in zip(here, self._of_part(part, source, turns[here]), strict=True):
                    found[place] = pair
        return found

    def _of_part(self, part: int, source: PatchSource, turns: Numbers) -> list[Image]:
        return list(source.pairs(*self._orders.find(part, len(source), turns)))

    def _draw(self, batch: int, sides: list[int]) -> tuple[list[list[int]], list[int]]:
        """Draw where each patch is cut (y, x) from stored patches of these sides, and its orientation, 0 to 7."""
        generator = np.random.default_rng([self._seed, 1, batch])
        room = (np.array(sides)[:, None] - self._patch) // 2
        places: list[list[int]] = (2 * generator.integers(0, room + 1, (len(sides), 2))).tolist()
        turns: list[int] = generator.integers(0, 8, len(sides)).tolist()
        return places, turns if self._augment else [0] * len(sides)


def turned(pixels: NDArray[np.void], turn: int) -> NDArray[np.void]:
    """Squares ``(2, side, side)`` in one of the eight orientations, 0 to 7, as a view."""
    if turn & 4:
        pixels = pixels.swapaxes(1, 2)
    return pixels[:, :: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]


def as_pixels(image: Image) -> NDArray[np.void]:
    """uint8 ``(..., C)`` as ``(...)`` of C bytes each, in place."""
    pixels: NDArray[np.void] = image.view(np.dtype((np.void, image.shape[-1])))[..., 0]
    return pixels
