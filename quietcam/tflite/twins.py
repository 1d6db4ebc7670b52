"""Which float model a quantized one was made from: conversion records it, or the user names it; it is never guessed.

Two models are twins when conversion recorded the same weights for both (``Manifest.weights_sha256``). Manifests that
are older than that record hold the same network, the same training data and the same scores where both came from one
run. A name tells nothing: everybody's model is called ``model``.
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

FOREIGN_QAT = (
    "train it with quantization where it was built, fake quantization in the graph (docs/how-to/train-for-int8.md)"
)
"""The last resort of a network that is not of our family: we train our own alone."""

_OF_INT8 = ("ranges",)
"""What a manifest's training says of one recipe, not of the run."""
_OF_CONVERSION = ("int8", "measured", "findings")
"""What a manifest's metrics say of one recipe."""


@dataclass(frozen=True)
class Origin:
    """What a model says of the network that it was made of. Of a file without manifest nothing is known.

    Attributes:
        weights: SHA-256 of the float weights; None where nobody recorded it.
        architecture: of a run. training: what the run was trained on. metrics: its scores.
    """

    weights: str | None = None
    architecture: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None

    @classmethod
    def of_manifest(cls, manifest: Manifest | None) -> Origin:
        """What a ``.tflite`` tells."""
        if manifest is None:
            return cls()
        return cls(manifest.weights_sha256, manifest.architecture, manifest.training, manifest.metrics)


def are_twins(one: Origin, other: Origin) -> bool:
    """Were both made of the same float weights, as far as they tell?"""
    if one.weights and other.weights:
        return one.weights == other.weights
    told = (_run(one), _run(other))
    return None not in told and told[0] == told[1]


def _run(origin: Origin) -> tuple[Any, ...] | None:
    """What only models of one run have in common; None where that is not told."""
    training = {key: value for key, value in (origin.training or {}).items() if key not in _OF_INT8}
    metrics = {key: value for key, value in (origin.metrics or {}).items() if key not in _OF_CONVERSION}
    if not (origin.architecture and training.get("sha256") and "psnr" in metrics):
        return None
    return origin.architecture, training, metrics


def weights_sha256(weights: Iterable[Any]) -> str:
    """SHA-256 in hexadecimal of a network's float weights in their order, shapes included; types do not count."""
    digest = hashlib.sha256()
    for each in weights:
        values = np.ascontiguousarray(np.asarray(each), "<f4")
        digest.update(f"{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
