"""Magnitude pruning with tfmot: the smallest weights of each convolution become zero, the others are fine-tuned.

It makes the compressed file smaller. It does not make the int8 model faster: the int8 kernels of TFLite multiply zeros
like other numbers.

The fusion of a video network is left alone. Of ``small-video`` it holds 7 % of the weights. Without half of them, and
before fine-tuning, the network lost 0.7 dB where something moves; without three quarters 3.0 dB. It sees less of what
moved, and leaves ghosts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from quietcam.architecture import Architecture
from train.model import FUSION, build, convolutions, copy_convolutions

__all__ = ["prunable", "sensitivity", "sparsity", "start_schedule", "strip"]

_SCANNED = (0.3, 0.5, 0.7, 0.9)


def prunable(
    architecture: Architecture, model: keras.Model, final: float, end_step: int, precision: str = "float32"
) -> keras.Model:
    """A copy of ``model`` whose convolutions are pruned from 0 to ``final`` sparsity by ``end_step`` steps of training,
    all but those of a video network's fusion.

    The schedule is tfmot's ``PolynomialDecay`` (Zhu and Gupta, "To prune, or not to prune", 2017).

    Args:
        precision: Keras policy of the convolutions and skips. Weights and masks are float32.
    """
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=final,
        begin_step=0,
        end_step=end_step,
        frequency=max(1, end_step // 50),
    )

    def wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
        # A layer in a wrapper may be called once a step: tfmot counts calls as steps, and the fusion has one a frame.
        if not isinstance(layer, keras.layers.Conv2D) or layer.name in FUSION:
            return layer
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
