"""Reads the network that training begins with, and checks that it belongs to the network of the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.errors import UsageError
from quietcam.evaluation import StartingWeights
from train.model import FUSION, build, convolutions, copy_convolutions
from train.run_directory.chain import tell_network
from train.run_directory.origin import add_earlier
from train.stored import read_network

__all__ = ["StartingNetwork", "read_starting_network"]


@dataclass(frozen=True)
class StartingNetwork:
    """The network that a run begins with.

    Attributes:
        model: a network with these weights; None for random weights, for which all other fields are empty. It may be
            the still network of a video network's body.
        weights: the entry in ``evaluation.json`` about them.
        origin: the data that they were trained on, its license, and the runs behind them; with the data of the fusion.
        fusion: what is told of the network whose fusion it is (``train.run_directory.chain``); None without one.
    """

    model: keras.Model | None = None
    weights: StartingWeights | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    fusion: Mapping[str, Any] | None = None


def read_starting_network(weights: str, architecture: Architecture, fusion: str = "") -> StartingNetwork:
    """Read the network that training of ``architecture`` begins with.

    A video network can also begin with the still network of its body: then its fusion begins with that of another video
    network, or with random weights.

    Args:
        weights: a run directory, a ``.tflite`` that ``quietcam convert`` wrote with recipe float32, or the name of a
            model that ships; empty for none.
        fusion: likewise, the video network whose fusion to begin with.

    Raises:
        UsageError: it is neither, or contains another network.
        ModelError: its file is damaged.
    """
    if not weights:
        return StartingNetwork()
    stored = read_network(weights, "Initial weights")
    _check_same(stored.path, stored.architecture, architecture)
    start = StartingNetwork(stored.load(), StartingWeights(weights, stored.sha256), stored.origin)
    return _with_fusion(start, fusion, architecture) if fusion else start


def _with_fusion(start: StartingNetwork, fusion: str, architecture: Architecture) -> StartingNetwork:
    stored = read_network(fusion, "A fusion")
    theirs = stored.architecture
    if not theirs.history or theirs.channels != architecture.channels:
        raise UsageError(
            f"A fusion must be that of a video network with channels={architecture.channels}. Received: {stored.path} "
            f"with history={theirs.history}, channels={theirs.channels}. Remedy: give such a network, or leave fusion "
            "in [video] out."
        )
    whole = build(architecture)
    assert start.model is not None
    assert start.weights is not None
    copy_convolutions(start.model, whole)
    source, target = convolutions(stored.load()), convolutions(whole)
    for name in FUSION:
        target[name].kernel.assign(source[name].kernel)
        target[name].bias.assign(source[name].bias)
    weights = replace(start.weights, fusion=fusion, fusion_sha256=stored.sha256)
    origin = add_earlier(dict(start.origin), stored.origin)
    return StartingNetwork(whole, weights, origin, tell_network(fusion, stored.sha256, stored.origin))


def _check_same(source: Path, theirs: Architecture, ours: Architecture) -> None:
    if theirs.history and not ours.history:
        raise UsageError(
            "The weights of a video network are for networks that remember: it has learned from fused frames. "
            f"Received: {source} with history={theirs.history}, for history=0. Remedy: set history = 1, or begin "
            "with a still network."
        )
    free = {"history": ours.history, "border": ours.border}  # the convolutions are the same
    there, here = theirs.to_dict() | free, ours.to_dict()
    if differ := [key for key in here if here[key] != there[key]]:
        raise UsageError(
            "Initial weights must belong to the network in [model], "
            f"{', '.join(f'{key}={here[key]}' for key in differ)}. "
            f"Received: {source} with {', '.join(f'{key}={there[key]}' for key in differ)}. "
            "Remedy: give the config that they were trained with."
        )
