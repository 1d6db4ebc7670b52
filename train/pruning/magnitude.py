"""Magnitude pruning with tfmot: the smallest weights of a convolution become zero, the others are fine-tuned.

How many zeros each convolution gets is decided by its size: all keep the same number of weights, and those that have
fewer keep them all (``shares``). The finest levels have few weights and compute most of the picture; the deepest have
many and matter least.

It makes the compressed file smaller. It does not make the int8 model faster: the int8 kernels of TFLite multiply zeros
like other numbers.

The fusion of a video network is left alone, and the rest gets its zeros. Of ``small-video`` it holds 7 % of the
weights. Without half of them, and before fine-tuning, the network lost 0.7 dB where something moves; without three
quarters 3.0 dB. It sees less of what moved, and leaves ghosts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.errors import UsageError
from train.model import FUSION, build, convolutions, copy_convolutions

__all__ = ["prunable", "sensitivity", "shares", "sparsity", "start_schedule", "strip"]

_SCANNED = (0.3, 0.5, 0.7, 0.9)


def shares(architecture: Architecture, sparsity: float) -> dict[str, float]:
    """The share of zeros that each convolution gets, so that ``sparsity`` of the network's weights are zero.

    Every convolution keeps the same number of weights; one that has no more than that keeps all of them, as does the
    fusion of a video network, which is left out. Zeros cost the same bytes wherever they are, so only the picture
    decides. With half of its weights zero, before fine-tuning, ``small`` loses 0.3 dB on SIDD's crops this way, and
    7.9 dB if every convolution loses half.

    Args:
        sparsity: share of zeros among all of the network's weights, in [0, 1).

    Raises:
        UsageError: the network has fewer weights outside of its fusion.
    """
    sizes = {each.name: each.parameters - each.outputs for each in architecture.convolutions()}
    total = sum(sizes.values())
    fixed = sum(sizes.pop(name, 0) for name in FUSION)
    left = (1.0 - sparsity) * total - fixed
    if left <= 0:
        raise UsageError(
            "The fusion of a video network is not pruned, so `sparsity` must be less than "
            f"{math.floor(100 * (1 - fixed / total)) / 100:g} here. Received: {sparsity:g}. Remedy: choose a smaller "
            "share."
        )
    kept = 0.0
    for index, size in enumerate(sorted(sizes.values())):  # each takes its part of what the smaller ones have left
        kept = left / (len(sizes) - index)
        left -= min(size, kept)
    return {name: max(0.0, 1.0 - kept / size) for name, size in sizes.items()}


def prunable(
    architecture: Architecture, model: keras.Model, sparsity: float, end_step: int, precision: str = "float32"
) -> keras.Model:
    """A copy of ``model`` that is pruned from 0 to ``sparsity`` by ``end_step`` steps of training.

    Each convolution gets its part of the zeros, see ``shares``. The schedule is tfmot's ``PolynomialDecay`` (Zhu and
    Gupta, "To prune, or not to prune", 2017).

    Args:
        precision: Keras policy of the convolutions and skips. Weights and masks are float32.

    Raises:
        UsageError: as ``shares``.
    """
    finals = shares(architecture, sparsity)

    def wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
        # A layer in a wrapper may be called once a step: tfmot counts calls as steps, and the fusion has one a frame.
        final = finals.get(layer.name)
        if not final:
            return layer
        schedule = tfmot.sparsity.keras.PolynomialDecay(
            initial_sparsity=0.0,
            final_sparsity=final,
            begin_step=0,
            end_step=end_step,
            frequency=max(1, end_step // 50),
        )
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

    pruned = build(architecture, wrap, name=model.name, precision=precision)
    copy_convolutions(model, pruned)
    return pruned


def start_schedule(pruned: keras.Model) -> None:
    """Start the schedule; tfmot refuses to train a wrapped model without this."""
    _callback(pruned).on_train_begin()


def strip(architecture: Architecture, pruned: keras.Model) -> keras.Model:
    """The plain network with the pruned weights, zeros included."""
    callback = _callback(pruned)
    callback.on_train_begin()
    callback.on_epoch_end(batch=None)  # apply the masks to the weights of the last step
    stripped = tfmot.sparsity.keras.strip_pruning(pruned)
    plain = build(architecture, name=pruned.name)
    copy_convolutions(stripped, plain)
    return plain


def sensitivity(model: keras.Model, measure: Callable[[keras.Model], float]) -> dict[str, dict[str, float]]:
    """PSNR in dB by convolution and sparsity: that convolution alone loses its smallest weights, without fine-tuning.

    The fusion of a video network, which is not pruned, is left out.

    Args:
        measure: returns the PSNR in dB of the network, whose weights are changed in place and restored.
    """
    found: dict[str, dict[str, float]] = {}
    for name, layer in convolutions(model).items():
        if name in FUSION:
            continue
        kernel = layer.kernel.numpy()
        found[name] = {}
        for share in _SCANNED:
            limit = np.quantile(np.abs(kernel), share)
            layer.kernel.assign(np.where(np.abs(kernel) <= limit, 0, kernel))
            found[name][f"{share:g}"] = round(measure(model), 3)
        layer.kernel.assign(kernel)
    return found


def _callback(pruned: keras.Model) -> tfmot.sparsity.keras.UpdatePruningStep:
    callback = tfmot.sparsity.keras.UpdatePruningStep()
    callback.set_model(pruned)
    return callback


def sparsity(model: keras.Model) -> float:
    """Share of zeros among all convolution weights, 0 to 1."""
    kernels = [layer.kernel.numpy() for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    return float(sum(np.sum(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels))
