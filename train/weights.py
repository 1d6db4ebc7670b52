"""Reads the network that training begins with, from a run or from a float32 model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras
from numpy.typing import NDArray

from quietcam.architecture import Architecture
from quietcam.errors import ModelError, UsageError
from quietcam.evaluation import StartingWeights
from quietcam.tflite.content import read_content
from quietcam.tflite.graph import Tensor, read_graph
from quietcam.tflite.manifest import Manifest, read_manifest
from train.model import build, convolutions
from train.run_directory.read import read_run

__all__ = ["StartingNetwork", "read_starting_network"]

_FLOAT = "float32"


@dataclass(frozen=True)
class StartingNetwork:
    """The network that a run begins with.

    Attributes:
        model: a network with these weights; None for random weights, for which all other fields are empty. It may be
            the still network of a video network's body.
        weights: the entry in ``evaluation.json`` about them.
        origin: the data that they were trained on, and its license.
    """

    model: keras.Model | None = None
    weights: StartingWeights | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)


def read_starting_network(weights: str, architecture: Architecture) -> StartingNetwork:
    """Read the network that training of ``architecture`` begins with.

    A video network can also begin with the still network of its body: then its fusion begins with random weights.

    Args:
        weights: a run directory, or a ``.tflite`` that ``quietcam convert`` wrote with recipe float32; empty for none.

    Raises:
        UsageError: it is neither, or contains another network.
        ModelError: its file is damaged.
    """
    if not weights:
        return StartingNetwork()
    source = Path(weights)
    if source.is_dir():
        run = read_run(source)
        _check_same(source, run.config.model, architecture)
        return StartingNetwork(run.load_model(), StartingWeights(weights, run.sha256), run.evaluation.data)
    manifest, theirs = _manifest(source)
    _check_same(source, theirs, architecture)
    return StartingNetwork(_from_tflite(source, theirs), StartingWeights(weights, manifest.sha256), manifest.training)


def _check_same(source: Path, theirs: Architecture, ours: Architecture) -> None:
    if theirs.history and not ours.history:
        raise UsageError(
            "The weights of a video network are for networks that remember: it has learned from fused frames. "
            f"Received: {source} with history={theirs.history}, for history=0. Remedy: set history = 1, or begin "
            "with a still network."
        )
    there, here = theirs.to_dict() | {"history": ours.history}, ours.to_dict()
    if differ := [key for key in here if here[key] != there[key]]:
        raise UsageError(
            "Initial weights must belong to the network in [model], "
            f"{', '.join(f'{key}={here[key]}' for key in differ)}. "
            f"Received: {source} with {', '.join(f'{key}={there[key]}' for key in differ)}. "
            "Remedy: give the config that they were trained with."
        )


def _from_tflite(source: Path, architecture: Architecture) -> keras.Model:
    model = build(architecture)
    layers = list(convolutions(model).values())
    stored = _stored_convolutions(source)
    if [kernel.shape for kernel, _ in stored] != [tuple(layer.kernel.shape) for layer in layers]:
        raise ModelError(
            f"{source} must hold the network that its manifest describes. Received: kernels of "
            f"{', '.join(str(kernel.shape) for kernel, _ in stored)}. Remedy: convert the model again."
        )
    for layer, (kernel, bias) in zip(layers, stored, strict=True):
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    return model


def _manifest(path: Path) -> tuple[Manifest, Architecture]:
    if path.suffix != ".tflite" or not path.is_file():
        raise UsageError(
            f"Initial weights must come from a run directory or a float32 .tflite. Received: {path}, which is "
            "neither. Remedy: give one of these, or leave `weights` out."
        )
    manifest = read_manifest(path)
    network = None if manifest is None else manifest.network
    if manifest is None or network is None:
        raise UsageError(
            "The manifest of a .tflite must describe the network of its weights. "
            f"Received: {path}, {'whose manifest does not' if manifest else 'which has no manifest'}. "
            "Remedy: give a float32 model that 'quietcam convert' made from a run directory."
        )
    if manifest.recipe != _FLOAT:
        raise UsageError(
            "Initial weights must come from a .tflite that 'quietcam convert --recipe float32' wrote: other "
            f"recipes round them. Received: {path}, recipe {manifest.recipe}. "
            "Remedy: give the float32 model of the same network, NAME_WxH_float32.tflite."
        )
    return manifest, network


def _stored_convolutions(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel ``(height, width, inputs, outputs)`` and bias of each, in the order in which they are computed."""
    graph = read_graph(read_content(path), str(path))
    found = [op.inputs[1:3] for op in graph.ops if op.kind == "CONV_2D"]
    return [(np.transpose(_values(kernel), (1, 2, 3, 0)), _values(bias)) for kernel, bias in found]


def _values(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.data, np.float32).reshape(tensor.shape)
