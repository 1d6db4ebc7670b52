"""Distillation: a network learns from the pictures of a larger one of the family, beside the clean ones.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015); here as a plain distance of pictures.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from quietcam.errors import UsageError
from train.config import RunConfig
from train.model import build, copy_convolutions
from train.run_directory.read import load_model, load_run, model_sha256
from train.step import Teacher

__all__ = ["check_teacher", "load_teacher", "told_of"]


def check_teacher(config: RunConfig) -> None:
    """See that the teacher that ``config`` names can teach its network.

    Raises:
        UsageError: it is no run directory, its channels are others, or it does not take patches of this size.
    """
    if not config.distillation.teacher:
        return
    run = Path(config.distillation.teacher)
    theirs = load_run(run).model
    if theirs.channels != config.model.channels:
        raise UsageError(
            "A teacher must have the network's channels. "
            f"Received: {run} with {theirs.channels}, the network with {config.model.channels}. "
            "Remedy: name another teacher."
        )
    if config.training.patch % theirs.stride:
        both = math.lcm(theirs.stride, config.model.stride)
        raise UsageError(
            f"patch must be a multiple of the teacher's total stride, {theirs.stride}, too. "
            f"Received: patch={config.training.patch}. Remedy: patch = {both} or a multiple of it."
        )


def load_teacher(config: RunConfig, precision: str) -> Teacher | None:
    """The teacher that ``config`` names, in Keras' policy ``precision``; None where it names none.

    Raises:
        ModelError: its file is damaged, or holds another network than its config describes.
    """
    if not config.distillation.teacher:
        return None
    run = Path(config.distillation.teacher)
    model = build(load_run(run).model, precision=precision)
    copy_convolutions(load_model(run), model)
    model.trainable = False
    return Teacher(model, config.distillation.weight)


def told_of(config: RunConfig) -> dict[str, Any]:
    """What a run tells of its teacher; nothing where there is none."""
    told = config.distillation
    if not told.teacher:
        return {}
    return {
        "distillation": {
            "teacher": told.teacher,
            "weight": told.weight,
            "gmacs_256": round(load_run(Path(told.teacher)).model.gmacs(), 4),
            "sha256": model_sha256(Path(told.teacher)),
        }
    }
