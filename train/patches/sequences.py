"""Streams sequences of training patches for a video network, from clips and from pairs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from quietcam.image import Image
from train.config import VideoConfig
from train.patches.batch_memory import BatchMemory
from train.patches.clips import ClipSource
from train.patches.dataset import as_pixels, check_source, turned
from train.patches.extra_noise import ExtraNoise
from train.patches.orders import Orders
from train.patches.prefetcher import Prefetcher
from train.patches.sources import Mixture

__all__ = ["SequenceBatches", "training_sequences"]

Numbers = NDArray[np.int64]


def training_sequences(
    mixture: Mixture,
    *,
    patch: int,
    batch: int,
    video: VideoConfig,
    seed: int,
    first: int = 0,
    extra: ExtraNoise | None = None,
) -> tf.data.Dataset:
    """An endless stream of batches ``(noisy, clean, remembers)``.

    noisy is uint8 ``(batch, lead + unroll, patch, patch, C)``, clean uint8 ``(batch, unroll, patch, patch, C)``, and
    remembers bool ``(batch,)``: whether a frame of the sequence has the history of those before it. All frames of a
    sequence from a clip are cut at one place and turned alike. Before the first frame of a clip stand copies of it:
    with these, the history of the first frame is the frame itself. A sequence from pairs has another picture at each of
    its ``unroll`` places, and does not remember. The same seed gives the same stream.

    Args:
        first: number of the first batch, to continue a stream where another run left it.
        extra: plain noise that replaces the noise of some sequences. Defaults to none.

    Raises:
        UsageError: ``patch`` is larger than the stored patches, or there are none.
    """
    for source in mixture.sources:
        check_source(source, patch)
    batches = SequenceBatches(mixture, patch, batch, video, seed=seed, memory=BatchMemory(), extra=extra)
    prefetcher = Prefetcher(batches.make)
    shape = [patch, patch, mixture.channels]

    def take(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        noisy, clean, remembers = tf.numpy_function(prefetcher.take, [number], (np.uint8, np.uint8, np.bool_))
        return (
            tf.ensure_shape(noisy, [batch, video.lead + video.unroll, *shape]),
            tf.ensure_shape(clean, [batch, video.unroll, *shape]),
            tf.ensure_shape(remembers, [batch]),
        )

    return tf.data.Dataset.counter(start=first).map(take)


class SequenceBatches:
    """Batches of sequences by their number; arguments as in ``training_sequences``."""

    def __init__(
        self,
        mixture: Mixture,
        patch: int,
        batch: int,
        video: VideoConfig,
        *,
        seed: int,
        memory: BatchMemory | None = None,
        extra: ExtraNoise | None = None,
    ) -> None:
        self._mixture, self._patch, self._batch, self._video, self._seed = mixture, patch, batch, video, seed
        self._memory, self._extra = memory or BatchMemory(), extra
        self._orders = Orders(seed)
        # A long run is used more often than a short one, in proportion to the windows that it has room for.
        self._runs = {
            part: np.repeat(np.arange(len(source.lengths)), np.maximum(1, source.lengths // video.unroll))
            for part, source in enumerate(mixture.sources)
            if isinstance(source, ClipSource)
        }

    def make(self, number: int) -> tuple[Image, Image, NDArray[np.bool_]]:
        """Noisy, clean and remembers of the batch, as ``training_sequences`` gives them."""
        video, size = self._video, self._patch
        length = video.lead + video.unroll
        both: Image = self._memory.empty((2, self._batch, length, size, size, self._mixture.channels), np.uint8)
        remembers = np.zeros(self._batch, np.bool_)
        rng = np.random.default_rng([self._seed, 4, number])
        moments, forgets = rng.random((2, self._batch))
        rooms, turns = rng.random((self._batch, video.unroll, 2)), rng.integers(0, 8, (self._batch, video.unroll))
        whose, uses = self._mixture.assign(np.arange(number * self._batch, (number + 1) * self._batch))
        for part, source in enumerate(self._mixture.sources):
            rows = np.flatnonzero(whose == part)
            if not len(rows):
                continue
            if isinstance(source, ClipSource):
                runs = self._runs[part]
                entries, _ = self._orders.find(part, len(runs), uses[rows])
                for row, run in zip(rows.tolist(), runs[entries].tolist(), strict=True):
                    remembers[row] = forgets[row] >= video.without_history
                    places = self._places(int(source.lengths[run]), moments[row])
                    for at, pair in enumerate(source.patches(run, places)):
                        self._put(both[:, row, at], pair, rooms[row, 0], int(turns[row, 0]))
            else:
                wanted = (uses[rows][:, np.newaxis] * video.unroll + np.arange(video.unroll)).ravel()
                pairs = iter(source.pairs(*self._orders.find(part, len(source), wanted)))
                for row in rows.tolist():
                    for index in range(video.unroll):
                        at = video.lead + index
                        self._put(both[:, row, at], next(pairs), rooms[row, index], int(turns[row, index]))
                    both[:, row, : video.lead] = both[:, row, video.lead : video.lead + 1]
        if self._extra:
            # Frames above each other are one picture, so all frames of a sequence get noise of one kind.
            tall = both.reshape(2, self._batch, length * size, size, -1)
            self._extra.apply(tall, np.random.default_rng([self._seed, 2, number]))
        return both[0], both[1, :, video.lead :], remembers

    def _places(self, length: int, moment: float) -> Numbers:
        """The frames of a window in a run of ``length``; those before its first are the first."""
        start = min(length - self._video.unroll, int(moment * (max(0, length - self._video.unroll) + 1)))
        return np.maximum(0, np.arange(start - self._video.lead, start + self._video.unroll))

    def _put(self, target: Image, pair: Image, room: NDArray[np.float64], turn: int) -> None:
        """Cut ``pair`` at ``room``, two numbers in [0, 1), and write it in that orientation."""
        # Even places keep the Bayer phase.
        y, x = (2 * (room * ((pair.shape[1] - self._patch) // 2 + 1)).astype(int)).tolist()
        as_pixels(target)[:] = turned(as_pixels(pair[:, y : y + self._patch, x : x + self._patch]), turn)
