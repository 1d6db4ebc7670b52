"""Finds the float model that a quantized model was made from. Conversion records it or the user names it.

Two models are twins if conversion recorded the same weights for both (``Manifest.weights_sha256``). Older manifests
lack that record; there, twins have the same network, the same training data and the same scores. Names prove nothing:
many models are called ``model``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from quietcam.tflite.manifest import Manifest

__all__ = ["FOREIGN_QAT", "Origin", "are_twins", "weights_sha256"]

FOREIGN_QAT = "train it with fake quantization in the program that built it (see docs/how-to/train-for-int8.md)"
"""The last remedy for a network that quietcam did not build: quietcam can train only its own networks."""

_OF_INT8 = ("ranges",)
"""Keys of a manifest's training that describe one recipe, not the run."""
_OF_CONVERSION = ("int8", "measured", "findings")
"""Keys of a manifest's metrics that describe one recipe."""


@dataclass(frozen=True)
class Origin:
    """What a model records about the network that it was made from. For a file without manifest, nothing is known.

    Attributes:
        weights: SHA-256 of the float weights; None if it was not recorded.
        architecture: architecture of the run.
        training: what the run was trained on.
        metrics: scores of the run.
    """

    weights: str | None = None
    architecture: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None

    @classmethod
    def of_manifest(cls, manifest: Manifest | None) -> Origin:
        """The origin that a ``.tflite`` records."""
        if manifest is None:
            return cls()
        return cls(manifest.weights_sha256, manifest.architecture, manifest.training, manifest.metrics)


def are_twins(one: Origin, other: Origin) -> bool:
    """True if the records prove that both were made from the same float weights."""
    if one.weights and other.weights:
        return one.weights == other.weights
    told = (_run(one), _run(other))
    return None not in told and told[0] == told[1]


def _run(origin: Origin) -> tuple[Any, ...] | None:
    """The facts that only models of the same run share; None if they are not recorded."""
    training = {key: value for key, value in (origin.training or {}).items() if key not in _OF_INT8}
    metrics = {key: value for key, value in (origin.metrics or {}).items() if key not in _OF_CONVERSION}
    if not (origin.architecture and training.get("sha256") and "psnr" in metrics):
        return None
    return origin.architecture, training, metrics


def weights_sha256(weights: Iterable[Any]) -> str:
    """SHA-256 in hexadecimal of a network's float weights in their order, including shapes but not types."""
    digest = hashlib.sha256()
    for each in weights:
        values = np.ascontiguousarray(np.asarray(each), "<f4")
        digest.update(f"{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
