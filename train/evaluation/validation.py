"""Validation: a network as a graph that denoises, and its PSNR on crops of pictures and of clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.data.crops import Crops
from quietcam.image import Image
from train.losses import psnr_uint8
from train.patches.clips import ClipCrops
from train.unrolled import remembered

__all__ = ["Denoise", "VideoDenoise", "denoise_clip", "inference", "validate"]

Denoise = Callable[[tf.Tensor], tf.Tensor]
"""A function from float32 ``(batch, H, W, C)`` in [0, 1] to the same form."""


class VideoDenoise:
    """A video network for inference. Called with noisy alone it has no history, as on a first frame."""

    def __init__(self, model: keras.Model) -> None:
        noisy = tf.TensorSpec(model.inputs[0].shape, tf.float32)

        def step(noisy: tf.Tensor, history: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            denoised, fused = model([noisy, history], training=False)
            return denoised, remembered(tf.cast(fused, tf.float32))

        self._step = tf.function(step).get_concrete_function(noisy, noisy)

    def __call__(self, noisy: tf.Tensor) -> tf.Tensor:
        """Float32 ``(batch, H, W, C)`` in [0, 1], and the same form back."""
        return self._step(noisy, noisy)[0]

    def step(self, noisy: tf.Tensor, history: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Denoised, and what is remembered for the next frame, of the form of ``noisy``."""
        denoised, fused = self._step(noisy, history)
        return denoised, fused


def inference(model: keras.Model) -> Denoise:
    """``model`` as a graph for inference on pictures of any size. Create it once and use it often."""
    if len(model.inputs) > 1:
        return VideoDenoise(model)
    graph = tf.function(lambda noisy: model(noisy, training=False))
    # Traced once, here. TensorFlow counts calls that trace, and would warn if many networks are measured one by one.
    compiled: Denoise = graph.get_concrete_function(tf.TensorSpec(model.input.shape, tf.float32))
    return compiled


def validate(denoise: Denoise, crops: Crops | ClipCrops, batch: int = 8) -> float:
    """Mean PSNR in dB over whole crops, on uint8; of clips over all frames, each with the history of those before."""
    found: list[float] = []
    if isinstance(crops, ClipCrops):
        for sequence in crops.sequences:
            for (_, clean), denoised in zip(sequence, denoise_clip(denoise, sequence[:, 0]), strict=True):
                found.extend(psnr_uint8(_as_float(clean[np.newaxis]), denoised).numpy().tolist())
        return float(np.mean(found))
    for start in range(0, len(crops.noisy), batch):
        noisy = _as_float(crops.noisy[start : start + batch])
        clean = _as_float(crops.clean[start : start + batch])
        found.extend(psnr_uint8(clean, denoise(noisy)).numpy().tolist())
    return float(np.mean(found))


def denoise_clip(denoise: Denoise, frames: Image) -> Iterator[tf.Tensor]:
    """Each of uint8 ``(T, H, W, C)`` denoised, float32 ``(1, H, W, C)``; a video network remembers from one to the
    next."""
    history: tf.Tensor | None = None
    for frame in frames:
        noisy = _as_float(frame[np.newaxis])
        if isinstance(denoise, VideoDenoise):
            denoised, history = denoise.step(noisy, noisy if history is None else history)
            yield denoised
        else:
            yield denoise(noisy)


def _as_float(pixels: Image) -> tf.Tensor:
    return tf.cast(pixels, tf.float32) / 255.0
