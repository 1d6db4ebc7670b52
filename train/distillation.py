"""Distillation: a network learns from the pictures of a larger one of the family, beside the clean ones.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015). Here the loss is a plain distance
between the pictures of the two.
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
    """See that the teacher that ``config`` names can teach its network.

    Raises:
        UsageError: it is no run directory, its channels are others, or it does not take patches of this size.
    """
    if not config.distillation.teacher:
        return
    run = Path(config.distillation.teacher)
    theirs = read_run(run).config.model
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
    run = read_run(config.distillation.teacher)
    model = build(run.config.model, precision=precision)
    copy_convolutions(run.load_model(), model)
    model.trainable = False
    return Teacher(model, config.distillation.weight)


def describe_teacher(config: RunConfig) -> Distillation | None:
    """What ``evaluation.json`` tells of the teacher that ``config`` names; None where it names none."""
    settings = config.distillation
    if not settings.teacher:
        return None
    run = read_run(settings.teacher)
    return Distillation(settings.teacher, settings.weight, round(run.config.model.gmacs(), 4), run.sha256)
