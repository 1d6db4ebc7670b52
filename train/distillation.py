"""Distillation: a network learns from the pictures of a larger network, in addition to the clean pictures.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015). Here the loss is the distance between
the pictures of the two networks. A video network learns from
a video network, which sees the same frames and remembers them in its own way.

Float training, pruning and training for int8 can all have a teacher.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from quietcam.errors import UsageError
from quietcam.evaluation import Distillation
from quietcam.files.paths import exists
from quietcam.terminal.log import log
from train.config import RunConfig
from train.model import build, copy_convolutions
from train.run_directory.chain import tell_network
from train.step import Teacher
from train.stored import StoredNetwork, find_network, read_network

__all__ = ["NO_TEACHER", "check_teacher", "describe_teacher", "load_teacher", "tell_teacher", "with_teacher"]

NO_TEACHER = "none"
"""What stands for no teacher where a config names one."""


def with_teacher(config: RunConfig, teacher: str | Path | None) -> RunConfig:
    """The config with this teacher, checked.

    Args:
        teacher: as in the config, or ``NO_TEACHER``. None keeps that of the config. If that one is no longer there, it
            is left out, and a warning says so: a run can be moved to a machine without its teacher.

    Raises:
        UsageError: as ``check_teacher``.
    """
    own = config.distillation.teacher
    name = own if teacher is None else "" if str(teacher) == NO_TEACHER else str(teacher)
    if teacher is None and own and not exists(find_network(own)):
        log.warning("the teacher of this run is gone, so it learns from the clean pictures alone: %s", own)
        name = ""
    taught = replace(config, distillation=replace(config.distillation, teacher=name))
    check_teacher(taught)
    return taught


def check_teacher(config: RunConfig) -> None:
    """Check that the teacher that ``config`` names can teach its network.

    Raises:
        UsageError: it is no network that ``train.stored`` can read, has another number of channels or another history,
            or cannot process patches of this size.
    """
    stored = _stored(config)
    if stored is None:
        return
    run, theirs = stored.path, stored.architecture
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
    stored = _stored(config)
    if stored is None:
        return None
    model = build(stored.architecture, precision=precision)
    copy_convolutions(stored.load(), model)
    model.trainable = False
    return Teacher(model, config.distillation.weight)


def describe_teacher(config: RunConfig) -> Distillation | None:
    """The entry in ``evaluation.json`` for the teacher that ``config`` names; None if it names none."""
    settings, stored = config.distillation, _stored(config)
    if stored is None:
        return None
    return Distillation(settings.teacher, settings.weight, round(stored.architecture.gmacs(), 4), stored.sha256)


def tell_teacher(config: RunConfig) -> dict[str, Any] | None:
    """What the runs behind a network tell of the teacher that ``config`` names; None if it names none."""
    settings, stored = config.distillation, _stored(config)
    if stored is None:
        return None
    return tell_network(settings.teacher, stored.sha256, stored.origin) | {"weight": settings.weight}


def _stored(config: RunConfig) -> StoredNetwork | None:
    teacher = config.distillation.teacher
    return read_network(teacher, "A teacher") if teacher else None
