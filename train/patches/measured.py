"""Patches from the training stream on which ranges or the importance of channels are measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.data.crops import Crops
from quietcam.image import Image
from train.config import RunConfig
from train.patches.dataset import training_patches
from train.patches.sequences import training_sequences
from train.patches.sets import TrainingData
from train.unrolled import remembered

__all__ = ["Measured", "patches_to_measure"]

_COUNT = 256
_BATCH = 16


@dataclass(frozen=True)
class Measured:
    """Pairs of patches, and what a video network remembers at them.

    Attributes:
        crops: the pairs.
        history: uint8 of the form of ``crops.noisy``; the noisy patch itself where nothing is remembered. None for a
            still network.
    """

    crops: Crops
    history: Image | None = None


def patches_to_measure(data: TrainingData, config: RunConfig, model: keras.Model) -> Measured:
    """256 pairs of patches, drawn as training draws them; the same for the same seed.

    Args:
        model: the network. If it remembers, it first runs through the frames that stand before a patch in its clip.
    """
    seed, patch = config.training.seed + 3, config.training.patch
    if not config.model.history:
        stream = training_patches(
            data.training, patch=patch, batch=_COUNT, seed=seed, as_float=False, extra=config.noise
        )
        noisy, clean = next(iter(stream))
        return Measured(Crops(np.stack([noisy.numpy(), clean.numpy()], axis=1), []))
    before = config.video.lead + config.video.unroll - 1
    sequences = training_sequences(
        data.training,
        patch=patch,
        batch=_BATCH,
        video=replace(config.video, lead=before, unroll=1, without_history=0.0),
        seed=seed,
        extra=config.noise,
    )
    fuse = keras.Model(model.inputs, model.outputs[1])
    step = tf.function(lambda noisy, history: remembered(fuse([noisy, history], training=False)))
    pairs, histories = [], []
    for frames, clean, remembers in sequences.take(_COUNT // _BATCH):
        floats = tf.cast(frames, tf.float32) / 255.0
        history = floats[:, 0]
        for index in range(before):
            history = step(floats[:, index], history)
        last = frames[:, -1].numpy()
        steps = np.rint(history.numpy() * 255).astype(np.uint8)
        histories.append(np.where(remembers.numpy()[:, None, None, None], steps, last))
        pairs.append(np.stack([last, clean[:, -1].numpy()], axis=1))
    return Measured(Crops(np.concatenate(pairs), []), np.concatenate(histories))
