"""Validation: a network as a graph that denoises, and its PSNR on crops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.data.crops import Crops
from train.losses import psnr_uint8

__all__ = ["Denoise", "inference", "validate"]

Denoise = Callable[[tf.Tensor], tf.Tensor]
"""A function from float32 ``(batch, H, W, C)`` in [0, 1] to the same form."""


def inference(model: keras.Model) -> Denoise:
    """``model`` as a graph for inference on pictures of any size. Create it once and use it often."""
    graph = tf.function(lambda noisy: model(noisy, training=False))
    # Traced once, here. TensorFlow counts calls that trace, and would warn if many networks are measured one by one.
    compiled: Denoise = graph.get_concrete_function(tf.TensorSpec(model.input.shape, tf.float32))
    return compiled


def validate(denoise: Denoise, crops: Crops, batch: int = 8) -> float:
    """Mean PSNR in dB over whole crops, on uint8."""
    found: list[float] = []
    for start in range(0, len(crops.noisy), batch):
        noisy = tf.cast(crops.noisy[start : start + batch], tf.float32) / 255.0
        clean = tf.cast(crops.clean[start : start + batch], tf.float32) / 255.0
        found.extend(psnr_uint8(clean, denoise(noisy)).numpy().tolist())
    return float(np.mean(found))
