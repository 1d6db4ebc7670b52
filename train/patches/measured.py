"""Patches from the training stream on which ranges or the importance of channels are measured."""

from __future__ import annotations

import numpy as np

from quietcam.data.crops import Crops
from train.config import RunConfig
from train.patches.dataset import training_patches
from train.patches.sets import TrainingData

__all__ = ["patches_to_measure"]

_COUNT = 256


def patches_to_measure(data: TrainingData, config: RunConfig) -> Crops:
    """256 pairs of patches, uint8, drawn as training draws them; the same for the same seed."""
    stream = training_patches(
        data.training,
        patch=config.training.patch,
        batch=_COUNT,
        seed=config.training.seed + 3,
        as_float=False,
        extra=config.noise,
    )
    noisy, clean = next(iter(stream))
    return Crops(np.stack([noisy.numpy(), clean.numpy()], axis=1), [])
