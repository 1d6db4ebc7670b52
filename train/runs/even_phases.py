"""Makes the phases of a space-to-depth block alike: without this, flat dark areas of noisy pictures look woven.

A block's values come out of channels of their own, and int8 rounds the weights of each channel differently, so each
phase is a little too bright or too dark. Pictures know no phases: over many, all phases of a color must be changed by
the same mean. The bias of the residual takes away what differs. What differs depends a little on the picture, so it is
measured where it shows (``train.patches.dark_flats``).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.image import Image
from train.model import convolutions

__all__ = ["even_phases"]

_BATCH = 16


def even_phases(architecture: Architecture, model: keras.Model, noisy: Image) -> None:
    """Change the residual's bias in ``model`` so that the phases of each color have one mean. Colors keep their means.

    A video network sees every picture as a first frame.

    Args:
        noisy: uint8 pictures ``(N, side, side, C)`` that have no pattern of their own, such as ``dark_flats``.
    """
    last = convolutions(model)["residual"]
    denoise = tf.function(keras.Model(model.inputs, model.outputs[0]))
    total = np.zeros(last.filters)
    for start in range(0, len(noisy), _BATCH):
        given = tf.constant(noisy[start : start + _BATCH].astype(np.float32) / 255)
        change = tf.nn.space_to_depth(denoise([given] * len(model.inputs)) - given, architecture.stem)
        total += change.numpy().mean((1, 2), dtype=np.float64).sum(0)
    by_phase = (total / len(noisy)).reshape(architecture.stem**2, architecture.channels)
    last.bias.assign_sub((by_phase - by_phase.mean(0)).reshape(-1))
