"""The loss that training minimizes, and the PSNR that validation measures."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["charbonnier", "moving_error", "psnr_uint8", "relative_error"]

_MOVES = 6.0 / 255.0
_FEW = 64.0  # pixels


def charbonnier(clean: tf.Tensor, denoised: tf.Tensor, epsilon: float = 1e-2) -> tf.Tensor:
    """Mean of sqrt(d^2 + epsilon^2), d the difference of values in [0, 1]: L1 that is smooth at zero.

    For differences below ``epsilon`` it is nearly a square, so the network learns the mean of noisy values, and not
    their median, which is too low where noise is clipped at black.

    Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed imaging", ICIP 1994.
    """
    return tf.reduce_mean(tf.sqrt(tf.square(denoised - clean) + epsilon**2))


def psnr_uint8(clean: tf.Tensor, denoised: tf.Tensor) -> tf.Tensor:
    """PSNR in dB of each picture of a batch after rounding both to steps of 1/255; shape ``(batch,)``."""
    steps = tf.round(tf.clip_by_value(denoised, 0.0, 1.0) * 255.0) - tf.round(clean * 255.0)
    mse = tf.reduce_mean(tf.square(steps), axis=[1, 2, 3])
    return 10.0 * tf.math.log(255.0**2 / tf.maximum(mse, 1e-10)) / tf.math.log(10.0)


def relative_error(clean: tf.Tensor, fused: tf.Tensor, noisy: tf.Tensor) -> tf.Tensor:
    """log(1 + r) of each frame, r the squared error of the fused frame divided by that of the noisy one; the last three
    axes become one number, 0 to 8.52.

    The square of 3.6 steps of 255 is added below, so that frames with hardly any noise count less. Their r is in the
    hundreds where a fusion takes the history of what moved: with the logarithm its gradient still leads away from that,
    and does not drown that of all other frames.
    """

    def error(frame: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.square(frame - clean), axis=[-3, -2, -1])

    return tf.math.log1p(error(fused) / (error(noisy) + 2e-4))


def moving_error(clean: tf.Tensor, denoised: tf.Tensor) -> tf.Tensor:
    """log(1 + e) of each sequence, e the mean square of the error where something moves, in units of (2.55 steps)^2.

    A pixel moves if its clean value has changed by more than 6 steps of 255 since the frame before; none does in the
    first frame. Where few pixels move, they count less.

    Args:
        clean, denoised: float32 ``(batch, T, side, side, C)`` in [0, 1].

    Returns:
        float32 ``(batch,)``.
    """
    change = tf.reduce_max(tf.abs(clean[:, 1:] - clean[:, :-1]), axis=-1)
    moves = tf.cast(change > _MOVES, tf.float32)
    squares = tf.reduce_mean(tf.square(denoised - clean)[:, 1:], axis=-1)
    axes = [1, 2, 3]
    mean = tf.reduce_sum(moves * squares, axis=axes) / (tf.reduce_sum(moves, axis=axes) + _FEW)
    return tf.math.log1p(mean * 1e4)
