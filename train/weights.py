"""Weights to begin with: those of a run, or of a float32 model file, whose run need not be there any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.errors import ModelError, UsageError
from quietcam.tflite.manifest import Manifest, read_manifest
from train.model import build, convolutions
from train.run_directory.read import load_model, load_run, model_sha256, read_evaluation

__all__ = ["Beginning", "begin_with"]

_FLOAT = "float32"


@dataclass(frozen=True)
class Beginning:
    """What a run begins with.

    Attributes:
        model: a network with these weights; None where they are random, and then the rest is empty.
        told: what ``evaluation.json`` tells of them.
        origin: the data that they were trained on, and its licence.
    """

    model: keras.Model | None = None
    told: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)


def begin_with(weights: str, architecture: Architecture) -> Beginning:
    """Read what a network of ``architecture`` begins with.

    Args:
        weights: a run directory, or a ``.tflite`` that ``quietcam convert`` wrote with recipe float32; empty for none.

    Raises:
        UsageError: it is neither, or holds another network.
        ModelError: its file is damaged.
    """
    if not weights:
        return Beginning()
    source = Path(weights)
    if source.is_dir():
        _check_same(source, load_run(source).model, architecture)
        model, origin, sha256 = load_model(source), read_evaluation(source)["data"], model_sha256(source)
    else:
        manifest, theirs = _manifest(source)
        _check_same(source, theirs, architecture)
        model, origin, sha256 = _from_tflite(source, architecture), manifest.training, manifest.sha256
    return Beginning(model, {"weights": {"begun_with": weights, "sha256": sha256}}, origin)


def _check_same(source: Path, theirs: Architecture, ours: Architecture) -> None:
    there, here = theirs.to_dict(), ours.to_dict()
    if differ := [key for key in here if here[key] != there[key]]:
        raise UsageError(
            "Weights to begin with must be of the network in [model], "
            f"{', '.join(f'{key}={here[key]}' for key in differ)}. "
            f"Received: {source} with {', '.join(f'{key}={there[key]}' for key in differ)}. "
            "Remedy: the config that they were trained with."
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
            f"Training begins with the weights of a run directory or of a float32 .tflite. Received: {path}, which is "
            "neither. Remedy: give one of these, or leave --weights out."
        )
    manifest = read_manifest(path)
    network = None if manifest is None else manifest.network
    if manifest is None or network is None:
        raise UsageError(
            "The manifest of a .tflite tells which network its weights are of. "
            f"Received: {path}, {'whose manifest does not' if manifest else 'which has none'}. "
            "Remedy: a float32 model that 'quietcam convert' made of a run directory."
        )
    if manifest.recipe != _FLOAT:
        raise UsageError(
            "Weights to begin with are those of a .tflite that 'quietcam convert --recipe float32' wrote: other "
            f"recipes round them. Received: {path}, recipe {manifest.recipe}. "
            "Remedy: its float twin, NAME_WxH_float32.tflite."
        )
    return manifest, network


def _stored_convolutions(path: Path) -> list[tuple[Any, Any]]:
    """Kernel ``(height, width, inputs, outputs)`` and bias of each, in the order in which they are computed."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    graph = model.subgraphs[0]

    def values(index: int) -> Any:
        tensor = graph.tensors[index]
        return np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32).reshape(tensor.shape)

    wanted = schema.BuiltinOperator.CONV_2D
    found = [each for each in graph.operators if model.operatorCodes[each.opcodeIndex].builtinCode == wanted]
    return [(np.transpose(values(each.inputs[1]), (1, 2, 3, 0)), values(each.inputs[2])) for each in found]
