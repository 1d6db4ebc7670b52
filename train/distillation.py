"""Distillation: a network learns from the pictures of a larger network, in addition to the clean pictures.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015). Here the loss is the distance between
the pictures of the two networks. A video network learns from
a video network, which sees the same frames and remembers them in its own way.
"""

from __future__ import annotations

import math
from pathlib import Path

from quietcam.errors import UsageError
from quietcam.evaluation import Distillation
from train.config import RunConfig
from train.model import build, copy_convolutions
from train.run_directory.read import read_run
from train.step import Teacher

__all__ = ["check_teacher", "describe_teacher", "load_teacher"]


def check_teacher(config: RunConfig) -> None:
    """Check that the teacher that ``config`` names can teach its network.

    Raises:
        UsageError: it is not a run directory, has another number of channels or another history, or cannot process
            patches of this size.
    """
    if not config.distillation.teacher:
        return
    run = Path(config.distillation.teacher)
    theirs = read_run(run).config.model
    if theirs.channels != config.model.channels:
        raise UsageError(
            "A teacher must have as many channels as the network. "
            f"Received: {run} with {theirs.channels}, the network with {config.model.channels}. "
            "Remedy: name another teacher."
        )
    if theirs.history != config.model.history:
        raise UsageError(
            "A teacher must remember as many frames as the network. "
            f"Received: {run} with history={theirs.history}, the network with history={config.model.history}. "
            "Remedy: name another teacher."
        )
    if config.training.patch % theirs.stride:
        both = math.lcm(theirs.stride, config.model.stride)
        raise UsageError(
            f"patch must also be a multiple of the teacher's total stride, {theirs.stride}. "
            f"Received: patch={config.training.patch}. Remedy: patch = {both} or a multiple of it."
        )


def load_teacher(config: RunConfig, precision: str) -> Teacher | None:
    """The teacher that ``config`` names, with the Keras policy ``precision``; None if it names none.

    Raises:
        ModelError: its file is damaged, or contains another network than its config describes.
    """
    if not config.distillation.teacher:
        return None
    run = read_run(config.distillation.teacher)
    model = build(run.config.model, precision=precision)
    copy_convolutions(run.load_model(), model)
    model.trainable = False
    return Teacher(model, config.distillation.weight)


def describe_teacher(config: RunConfig) -> Distillation | None:
    """The entry in ``evaluation.json`` for the teacher that ``config`` names; None if it names none."""
    settings = config.distillation
    if not settings.teacher:
        return None
    run = read_run(settings.teacher)
    return Distillation(settings.teacher, settings.weight, round(run.config.model.gmacs(), 4), run.sha256)
