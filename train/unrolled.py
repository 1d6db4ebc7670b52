"""The loss of a video network over several frames, in which it sees its own history."""

from __future__ import annotations

from dataclasses import dataclass, field

import tensorflow as tf
import tf_keras as keras

from train.model import unclipped

__all__ = ["Unrolled", "remembered"]


def remembered(fused: tf.Tensor) -> tf.Tensor:
    """A fused frame as the device keeps it, rounded to steps of 1/255; its gradient is that of the frame itself."""
    rounded = tf.round(tf.clip_by_value(fused, 0.0, 1.0) * 255.0) / 255.0
    return fused + tf.stop_gradient(rounded - fused)


@dataclass
class Unrolled:
    """A video network on sequences of frames.

    The frames before the window are only fused, without gradients. In the window gradients flow through the history,
    from each frame to those before it. What is denoised is the fused frame as the device remembers it.

    Args:
        model: a video network, ``[noisy, history] -> [denoised, history]``.
        window: frames that are denoised; frames before them only make history.
        learns: whether gradients are wanted, for which the last clip is left out.
        rounded: as in ``unclipped``.
    """

    model: keras.Model
    window: int
    learns: bool = True
    rounded: bool = False
    _fuse: keras.Model = field(init=False, repr=False)
    _denoise: keras.Model = field(init=False, repr=False)

    def __post_init__(self) -> None:
        network = unclipped(self.model, rounded=self.rounded) if self.learns else self.model
        denoised, fused = network.outputs
        self._fuse, self._denoise = keras.Model(network.inputs, fused), keras.Model(fused, denoised)

    def __call__(self, noisy: tf.Tensor, remembers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Denoised and fused frames of the window.

        Args:
            noisy: float32 ``(batch, T, side, side, C)`` in [0, 1], T at least ``window``.
            remembers: bool ``(batch,)``: whether the frames have a history. If not, each is its own.

        Returns:
            Two of float32 ``(batch, window, side, side, C)``.
        """
        batch, length, *shape = noisy.shape
        first = length - self.window
        remembers = remembers[:, tf.newaxis, tf.newaxis, tf.newaxis]
        history, fused = noisy[:, 0], []
        for index in range(length):
            if index == first:
                history = tf.stop_gradient(history)
            frame = noisy[:, index]
            frame = self._fuse([frame, tf.where(remembers, history, frame)], training=self.learns)
            history = remembered(tf.cast(frame, tf.float32))
            if index >= first:
                fused.append(history)
        frames = tf.reshape(tf.stack(fused, axis=1), [batch * self.window, *shape])
        denoised = tf.cast(self._denoise(frames, training=self.learns), tf.float32)
        whole = [batch, self.window, *shape]
        return tf.reshape(denoised, whole), tf.reshape(frames, whole)
