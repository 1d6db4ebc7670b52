"""Patches for training, out of crops in memory, with tf.data."""

from __future__ import annotations

import tensorflow as tf

from quietcam.data.crops import Crops

__all__ = ["training_patches"]


def training_patches(crops: Crops, *, patch: int, batch: int, seed: int) -> tf.data.Dataset:
    """An endless stream of batches ``(noisy, clean)``, float32 ``(batch, patch, patch, C)`` in [0, 1].

    Every pass takes each crop once, in a new order; a patch is cut at a random even place (so that a Bayer phase
    stays), flipped and turned by a multiple of 90 degrees. The same seed gives the same stream.
    """
    channels = crops.noisy.shape[-1]
    noisy, clean = tf.constant(crops.noisy), tf.constant(crops.clean)
    room = (crops.noisy.shape[1] - patch) // 2

    def augment(index: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pick = tf.random.stateless_uniform([2], draw, 0, room + 1, tf.int32) * 2
        begin, size = tf.concat([pick, [0]], 0), [patch, patch, channels]
        pair = tf.concat([tf.slice(noisy[index], begin, size), tf.slice(clean[index], begin, size)], -1)
        turns = tf.random.stateless_uniform([3], draw + tf.constant([1, 0], tf.int64), 0, 4, tf.int32)
        pair = tf.image.rot90(pair, turns[0])
        pair = tf.cond(turns[1] < 2, lambda: tf.reverse(pair, [1]), lambda: pair)
        pair = tf.cast(tf.ensure_shape(pair, [patch, patch, 2 * channels]), tf.float32) / 255.0
        return pair[..., :channels], pair[..., channels:]

    count = crops.noisy.shape[0]
    # First shuffle, then repeat: every crop is seen once before any is seen again.
    indices = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=True).repeat()
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=False).batch(2, drop_remainder=True)
    stream = tf.data.Dataset.zip((indices, draws))
    return stream.map(augment, num_parallel_calls=2, deterministic=True).batch(batch, drop_remainder=True).prefetch(2)
