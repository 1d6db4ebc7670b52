"""Patches for training: from a packed set, from crops in memory or from scenes made on the fly, with tf.data.

Batches are put together by numpy, whole ones at a time: an element of its own for each patch would cost more than the
copying. A batch depends on its number and the seed alone, so several can be made at once and the stream stays the same.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from quietcam.data.crops import Crops
from quietcam.data.shards import ShardSet
from quietcam.errors import UsageError
from quietcam.image import Image

__all__ = ["CropSource", "PatchSource", "SceneSource", "ShardSource", "patch_batches", "training_patches"]

Numbers = NDArray[np.int64]

_ALIGNMENT = 64
"""Bytes. TensorFlow takes over numpy's memory where it is aligned so, and copies it elsewhere."""


class PatchSource(Protocol):
    """Pairs of patches by their number."""

    side: int
    """Of a stored patch, in pixels: as large as what is cut from it, or larger."""

    channels: int
    """3 for RGB, 1 for grayscale."""

    def __len__(self) -> int:
        """How many patches one pass takes."""

    def pairs(self, numbers: Numbers, passes: Numbers) -> Sequence[tuple[Image, Image]]:
        """Noisy and clean, uint8 ``(side, side, channels)``, of each of the ``numbers``, in the pass beside it."""


class CropSource:
    """Crops that are held in memory."""

    def __init__(self, crops: Crops) -> None:
        self._crops = crops
        self.side, self.channels = int(crops.noisy.shape[1]), int(crops.noisy.shape[3])

    def __len__(self) -> int:
        return len(self._crops.noisy)

    def pairs(self, numbers: Numbers, passes: Numbers) -> list[tuple[Image, Image]]:  # noqa: ARG002  every pass is alike
        """Views of the crops."""
        return [(self._crops.noisy[i], self._crops.clean[i]) for i in numbers.tolist()]


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

    def pairs(self, numbers: Numbers, passes: Numbers) -> list[tuple[Image, Image]]:  # noqa: ARG002  every pass is alike
        """Views of the mapped files."""
        return [self.shards.pair(i) for i in self._numbers[numbers].tolist()]


class SceneSource:
    """Scenes that are made when they are asked for, by worker processes; no two passes show the same.

    Use as a context manager, so that the workers end with it.

    Args:
        make: makes noisy and clean of a seed, uint8 ``(side, side, channels)``; a function that can be pickled, such as
            ``functools.partial(quietcam.scenes.make_pair, size=128)``.
        side: of what ``make`` gives, in pixels.
        count: how many scenes make a pass.
        seed: of the first scene; each further one takes the next.
        workers: how many processes. Defaults to one a core, 8 at most.
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
        """End the workers; may be called twice."""
        self._workers.shutdown(cancel_futures=True)

    def pairs(self, numbers: Numbers, passes: Numbers) -> list[tuple[Image, Image]]:
        """Scenes that nobody has seen yet: each pass has seeds of its own."""
        seeds = self._seed + passes * self._count + numbers
        made = [self._workers.submit(self._make, seed) for seed in seeds.tolist()]
        return [each.result() for each in made]


def training_patches(
    source: Crops | PatchSource,
    *,
    patch: int,
    batch: int,
    seed: int,
    endless: bool = True,
    augment: bool = True,
    first: int = 0,
) -> tf.data.Dataset:
    """A stream of batches ``(noisy, clean)``, float32 ``(batch, patch, patch, C)`` in [0, 1].

    Every pass takes each stored patch once, in a new order; what is larger than ``patch`` is cut at a random even place
    (so that a Bayer phase stays), mirrored and turned by a multiple of 90 degrees, all eight ways alike. The same seed
    gives the same stream.

    Args:
        endless: pass after pass, in full batches. Otherwise one pass; its last batch may be smaller.
        augment: mirror and turn. A patch is cut at random in any case.
        first: number of the first batch, to go on with a stream where another run left it.

    Raises:
        UsageError: ``patch`` is larger than what is stored, or nothing is stored.
    """
    return _stream(source, True, patch, batch, seed, endless, augment, first)


def patch_batches(
    source: Crops | PatchSource,
    *,
    patch: int,
    batch: int,
    seed: int,
    endless: bool = True,
    augment: bool = True,
    first: int = 0,
) -> tf.data.Dataset:
    """The same as ``training_patches`` in uint8: a quarter of the bytes on their way to an accelerator."""
    return _stream(source, False, patch, batch, seed, endless, augment, first)


def _stream(
    source: Crops | PatchSource,
    as_float: bool,
    patch: int,
    batch: int,
    seed: int,
    endless: bool,
    augment: bool,
    first: int,
) -> tf.data.Dataset:
    patches = CropSource(source) if isinstance(source, Crops) else source
    _check(patches, patch)
    rooms = _Rooms()
    batches = _Batches(patches, patch, batch, seed, endless, augment, rooms)
    kind = np.float32 if as_float else np.uint8
    last = None if endless else -(-len(patches) // batch)

    def make(number: int) -> tuple[NDArray[Any], ...]:
        sides = batches.make(number)
        if not as_float:
            return sides
        return tuple(np.divide(side, np.float32(255), out=rooms.empty(side.shape, np.float32)) for side in sides)

    ahead = _Ahead(make, last)
    shape = [batch if endless else None, patch, patch, patches.channels]

    def take(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noisy, clean = tf.numpy_function(ahead.take, [number], (kind, kind))
        return tf.ensure_shape(noisy, shape), tf.ensure_shape(clean, shape)

    # Neither parallel nor prefetched by TensorFlow: its threads would be in Python when the interpreter ends, and hang.
    numbers = tf.data.Dataset.counter(start=first) if last is None else tf.data.Dataset.range(first, last)
    return numbers.map(take)


def _check(source: PatchSource, patch: int) -> None:
    if patch > source.side:
        raise UsageError(
            f"A patch is cut from a stored one and cannot be larger. Received: patch={patch}, stored {source.side}. "
            f"Remedy: train with patch = {source.side} or smaller, or pack or cut larger ones."
        )
    if not len(source):
        raise UsageError("Training needs at least one patch. Received: none. Remedy: check the data set.")


class _Ahead:
    """Results by number, of which the next few are begun before they are asked for.

    They may be asked for in any order, since each depends on its number alone; asked for in turn, they come fast.
    """

    _DEPTH = 8
    """Enough that the threads seldom wait for each other; batches of 32 at 128x128 in float32 take 13 MB each."""

    def __init__(self, make: Callable[[int], tuple[NDArray[Any], ...]], last: int | None) -> None:
        workers = min(2, os.cpu_count() or 1)
        self._make, self._last = make, last
        self._threads = ThreadPoolExecutor(workers, "patches")
        self._begun: dict[int, Future[tuple[NDArray[Any], ...]]] = {}
        self._lock = threading.Lock()

    def take(self, number: int) -> tuple[NDArray[Any], ...]:
        """The result of that number."""
        number = int(number)
        stop = number + 1 + self._DEPTH
        wanted = range(number, stop if self._last is None else min(stop, self._last))
        with self._lock:
            for stale in self._begun.keys() - set(wanted):
                self._begun.pop(stale).cancel()
            for each in wanted:
                if each not in self._begun:
                    self._begun[each] = self._threads.submit(self._make, each)
            asked = self._begun.pop(number)
        return asked.result()


class _Batches:
    """Batches by their number."""

    def __init__(
        self, source: PatchSource, patch: int, batch: int, seed: int, endless: bool, augment: bool, rooms: _Rooms
    ) -> None:
        self._source, self._patch, self._batch, self._seed = source, patch, batch, seed
        self._endless, self._augment = endless, augment
        self._rooms = rooms
        self._orders: dict[int, Numbers] = {}
        self._lock = threading.Lock()

    def make(self, number: int) -> tuple[Image, Image]:
        """Noisy and clean of the batch, uint8 ``(batch, patch, patch, C)``."""
        numbers, passes = self._numbers(int(number))
        pairs = self._source.pairs(numbers, passes)
        places, turns = self._draw(int(number), len(pairs))
        size, channels = self._patch, self._source.channels
        noisy, clean = (self._rooms.empty((len(pairs), size, size, channels), np.uint8) for _ in range(2))
        targets = (_as_pixels(noisy), _as_pixels(clean))
        for i, ((y, x), turn) in enumerate(zip(places, turns, strict=True)):
            for side, into, pixels in zip(pairs[i], (noisy, clean), targets, strict=True):
                cut = side[y : y + size, x : x + size]
                if turn:
                    # A pixel as one value of three bytes: a third of the work where the order of pixels changes.
                    pixels[i] = _turned(_as_pixels(cut), turn)
                else:
                    into[i] = cut
        return noisy, clean

    def _numbers(self, batch: int) -> tuple[Numbers, Numbers]:
        """The patches of a batch, and in which pass each is: first shuffled, then repeated, so that every patch is seen
        once before any is seen again."""
        count = len(self._source)
        end = (batch + 1) * self._batch
        passes, ranks = np.divmod(np.arange(batch * self._batch, end if self._endless else min(end, count)), count)
        numbers = np.empty_like(ranks)
        for turn in range(int(passes[0]), int(passes[-1]) + 1):
            here = passes == turn
            numbers[here] = self._order(turn)[ranks[here]]
        return numbers, passes

    def _order(self, turn: int) -> Numbers:
        """The order of a pass; a few are kept, for batches that are made at once."""
        with self._lock:
            if turn not in self._orders:
                while len(self._orders) > 3:
                    del self._orders[min(self._orders)]
                self._orders[turn] = np.random.default_rng([self._seed, 0, turn]).permutation(len(self._source))
            return self._orders[turn]

    def _draw(self, batch: int, count: int) -> tuple[list[list[int]], list[int]]:
        """Where each patch is cut (y, x), and which of the eight ways it is turned."""
        generator = np.random.default_rng([self._seed, 1, batch])
        room = (self._source.side - self._patch) // 2
        places: list[list[int]] = (2 * generator.integers(0, room + 1, (count, 2))).tolist()
        turns: list[int] = generator.integers(0, 8, count).tolist()
        return places, turns if self._augment else [0] * count


def _turned(pixels: NDArray[np.void], turn: int) -> NDArray[np.void]:
    """One of the eight ways to lay a square, 0 to 7, as a view."""
    if turn & 4:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]


def _as_pixels(image: Image) -> NDArray[np.void]:
    """uint8 ``(..., C)`` as ``(...)`` of C bytes each, in place."""
    pixels: NDArray[np.void] = image.view(np.dtype((np.void, image.shape[-1])))[..., 0]
    return pixels


class _Rooms:
    """Memory for batches, used again once nobody holds the last batch in it: fresh memory costs as much as the copy."""

    _MOST = 32
    _FREE = 3  # references: the list's, the loop's, the call's

    def __init__(self) -> None:
        self._rooms: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
        """An array of that shape and kind with anything in it, aligned so that TensorFlow takes it over uncopied."""
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        with self._lock:
            for room in self._rooms:
                if room.size == size + _ALIGNMENT and sys.getrefcount(room) == self._FREE:
                    break
            else:
                room = np.empty(size + _ALIGNMENT, np.uint8)
                if len(self._rooms) < self._MOST:
                    self._rooms.append(room)
            start = -room.ctypes.data % _ALIGNMENT
            return room[start : start + size].view(kind).reshape(shape)
