"""Finds and reads trained networks: of a run directory, of a float32 model file, or of a model that ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras
from numpy.typing import NDArray

from quietcam.architecture import Architecture
from quietcam.errors import ModelError, UsageError
from quietcam.files.paths import exists, is_dir, is_file
from quietcam.terminal.printable import printable
from quietcam.tflite.content import read_content
from quietcam.tflite.graph import Tensor, read_graph
from quietcam.tflite.manifest import Manifest, read_manifest
from train.model import build, convolutions
from train.run_directory.chain import origin_with_runs
from train.run_directory.read import read_run

__all__ = ["StoredNetwork", "find_network", "find_networks", "read_network"]

_FLOAT = "float32"


@dataclass(frozen=True)
class StoredNetwork:
    """A trained network in a file.

    Attributes:
        path: the run directory, or the ``.tflite``.
        architecture: of the network.
        sha256: of its model file, hexadecimal.
        origin: the data that it was trained on, its license, and the runs behind it (``train.run_directory.chain``).
        load: builds the plain network with its weights; raises a ModelError if the file is damaged.
    """

    path: Path
    architecture: Architecture
    sha256: str
    origin: Mapping[str, Any]
    load: Callable[[], keras.Model]


def find_network(name: str) -> Path:
    """The place of a network.

    Args:
        name: a path, or the name of a model that ships, such as ``base``, which means its float32 file. A path comes
            first.

    Returns:
        The path as it is, if it is there or if no model of that name ships.
    """
    if not exists(Path(name)):
        for path in _shipped():
            if name in (path.stem, path.stem.split("_")[0]):
                return path
    return Path(name)


def find_networks(*names: str) -> list[Path]:
    """The places of several networks, as ``find_network`` gives them; empty names are left out."""
    return [find_network(name) for name in names if name]


def read_network(name: str, wanted: str) -> StoredNetwork:
    """Read about the network that ``find_network`` finds.

    Args:
        wanted: what messages call it, such as "A teacher".

    Raises:
        UsageError: it is neither a run directory nor a float32 ``.tflite`` that ``quietcam convert`` wrote.
        ModelError: its manifest describes an impossible network.
    """
    path = find_network(name)
    if is_dir(path):
        run = read_run(path)
        return StoredNetwork(path, run.config.model, run.sha256, origin_with_runs(run), run.load_model)
    manifest, architecture = _manifest(path, name, wanted)
    return StoredNetwork(path, architecture, manifest.sha256, manifest.training, partial(_load, path, architecture))


def _shipped() -> list[Path]:
    """The float32 files of the models that ship. Stages meet in files: nothing of the device's code is imported."""
    device = find_spec("edge")
    folders = device.submodule_search_locations if device else None
    return [path for folder in folders or () for path in sorted(Path(folder, "models").glob(f"*_{_FLOAT}.tflite"))]


def _manifest(path: Path, name: str, wanted: str) -> tuple[Manifest, Architecture]:
    if path.suffix != ".tflite" or not is_file(path):
        ships = ", ".join(sorted({each.stem.split("_")[0] for each in _shipped()}))
        raise UsageError(
            f"{wanted} must come from a run directory or a float32 .tflite. Received: {printable(name)}, which is "
            f"neither. Remedy: give one of these, or the name of a model that ships{f' ({ships})' if ships else ''}."
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
            f"{wanted} must come from a .tflite that 'quietcam convert --recipe float32' wrote: other "
            f"recipes round the weights. Received: {path}, recipe {manifest.recipe}. "
            "Remedy: give the float32 model of the same network, NAME_WxH_float32.tflite."
        )
    return manifest, network


def _load(path: Path, architecture: Architecture) -> keras.Model:
    model = build(architecture)
    layers = list(convolutions(model).values())
    stored = _stored_convolutions(path)
    if [kernel.shape for kernel, _ in stored] != [tuple(layer.kernel.shape) for layer in layers]:
        raise ModelError(
            f"{path} must hold the network that its manifest describes. Received: kernels of "
            f"{', '.join(str(kernel.shape) for kernel, _ in stored)}. Remedy: convert the model again."
        )
    for layer, (kernel, bias) in zip(layers, stored, strict=True):
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    return model


def _stored_convolutions(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel ``(height, width, inputs, outputs)`` and bias of each, in the order in which they are computed."""
    graph = read_graph(read_content(path), str(path))
    found = [op.inputs[1:3] for op in graph.ops if op.kind == "CONV_2D"]
    return [(np.transpose(_values(kernel), (1, 2, 3, 0)), _values(bias)) for kernel, bias in found]


def _values(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.data, np.float32).reshape(tensor.shape)
