"""Channel pruning removes whole channels: the result is a smaller, faster network of the same family.

The architecture decides which convolutions must keep the same channels. Two convolutions whose outputs are added at a
skip keep the same channels; every other convolution has its own choice. The fusion of a video network keeps its width:
it is small already, and its width is not part of an architecture.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray

from quietcam.architecture import Architecture
from quietcam.data.crops import Crops
from quietcam.errors import UsageError
from quietcam.evaluation import SmallerNetwork
from quietcam.image import Image
from train.losses import charbonnier
from train.model import build, convolutions

__all__ = [
    "IMPORTANCES",
    "Scores",
    "Wire",
    "check_importance",
    "importance",
    "narrower_widths",
    "plan_widths",
    "remove_channels",
    "wiring",
]

IMPORTANCES = ("l1", "taylor")

Scores = dict[str, NDArray[np.float64]]
"""Importance of each channel, float64 ``(width,)``, by group of channels that are kept or removed together."""

_PICTURE, _CELLS = "picture", "cells"
"""The groups of the network's ends, and of the fusion's ends, whose channels are never removed."""

_FIXED = {_PICTURE, _CELLS}

_STEP = 8
_BATCH = 8


class Wire(NamedTuple):
    """A convolution, and the names of the groups of channels that it reads and writes."""

    convolution: str
    reads: str
    writes: str


def wiring(architecture: Architecture) -> list[Wire]:
    """Every convolution in the order of the data. Channels that are added to each other form one group."""
    wires = []
    if architecture.history:
        wires = [Wire("differ", _CELLS, "differ"), Wire("weigh", "differ", "weigh"), Wire("share", "weigh", _CELLS)]
    last = _PICTURE
    for level, depth in enumerate(architecture.depths):
        for index in range(depth):
            group = f"skip{level}" if index == depth - 1 else f"down{level}_{index}"
            wires.append(Wire(f"down{level}_{index}", last, group))
            last = group
    for level in range(architecture.levels - 2, -1, -1):
        wires.append(Wire(f"rise{level}", last, f"skip{level}"))
        last = f"skip{level}"
        for index in range(max(1, architecture.depths[level] - 1)):
            wires.append(Wire(f"up{level}_{index}", last, f"up{level}_{index}"))
            last = f"up{level}_{index}"
    return [*wires, Wire("residual", last, _PICTURE)]


def check_importance(kind: str) -> None:
    """Check that ``kind`` is a measure of importance.

    Raises:
        UsageError: it is not.
    """
    if kind not in IMPORTANCES:
        raise UsageError(
            f"The importance of channels is one of {', '.join(IMPORTANCES)}. Received: {kind}. Remedy: choose one."
        )


def importance(
    architecture: Architecture,
    model: keras.Model,
    kind: str,
    crops: Crops | None = None,
    history: Image | None = None,
) -> Scores:
    """Measure the importance of each channel of each group.

    Args:
        kind: ``l1``, the mean absolute weight of the filter (Li et al., "Pruning filters for efficient ConvNets", ICLR
            2017); or ``taylor``, the squared first-order change of the loss without it, (sum of weight * gradient)^2,
            summed over batches (Molchanov et al., "Importance estimation for neural network pruning", CVPR 2019).
            Convolutions that write one group are each scaled to a mean of 1 and added up.
        crops: crops on which ``taylor`` measures the loss.
        history: what a video network remembers at these, as in ``train.qat.measure_ranges``. Defaults to nothing.

    Raises:
        UsageError: an unknown ``kind``, or ``taylor`` without crops.
    """
    check_importance(kind)
    layers = convolutions(model)
    if kind == "l1":
        each = {name: np.abs(layer.kernel.numpy()).mean((0, 1, 2)) for name, layer in layers.items()}
    elif crops is None or not len(crops.pairs):
        raise UsageError("The importance `taylor` is measured on crops. Received: none. Remedy: give `crops`.")
    else:
        before = [crops.noisy if history is None else history] if architecture.history else []
        each = _taylor(model, layers, [crops.noisy, *before], crops.clean)
    groups: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for name, _, group in wiring(architecture):
        if group not in _FIXED:
            score = np.asarray(each[name], np.float64)
            groups[group].append(score / max(float(score.mean()), 1e-30))
    return {group: np.sum(scores, axis=0) for group, scores in groups.items()}


def _taylor(
    model: keras.Model, layers: dict[str, keras.layers.Conv2D], inputs: list[Image], clean: Image
) -> dict[str, NDArray[np.float64]]:
    denoise = keras.Model(model.inputs, model.outputs[0])
    weights = [[layer.kernel, layer.bias] for layer in layers.values()]
    flat = [variable for pair in weights for variable in pair]

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def gradients(clean: tf.Tensor, *inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = charbonnier(clean, denoise(list(inputs), training=False))
        return tape.gradient(loss, flat)  # type: ignore[no-any-return]

    found: dict[str, NDArray[np.float64]] = {name: np.zeros(layer.filters) for name, layer in layers.items()}
    for start in range(0, len(clean), _BATCH):
        sides = [side[start : start + _BATCH].astype(np.float32) / 255 for side in (clean, *inputs)]
        slopes = [slope.numpy() for slope in gradients(*map(tf.constant, sides))]
        for index, (name, layer) in enumerate(layers.items()):
            change = (layer.kernel.numpy() * slopes[2 * index]).sum((0, 1, 2)) + layer.bias.numpy() * slopes[
                2 * index + 1
            ]
            found[name] += np.square(change, dtype=np.float64)
    return found


def remove_channels(
    architecture: Architecture, model: keras.Model, widths: Sequence[int], scores: Scores
) -> tuple[Architecture, keras.Model]:
    """The network with ``widths`` channels in its levels. Each group keeps those that matter most, in their order.

    Raises:
        UsageError: a width is not a multiple of 8, or is larger than the current one.
    """
    smaller = replace(architecture, widths=tuple(widths))
    if any(new > old for new, old in zip(smaller.widths, architecture.widths, strict=True)):
        raise UsageError(
            f"Pruning must not make a level wider. Received: widths {list(widths)} from {list(architecture.widths)}. "
            "Remedy: give widths that are at most as large."
        )
    width = {convolution.name: convolution.outputs for convolution in smaller.convolutions()}
    kept: dict[str, NDArray[np.int64]] = {}
    for name, _, group in wiring(architecture):
        if group not in _FIXED:
            kept[group] = np.sort(np.argsort(-scores[group], kind="stable")[: width[name]])
    narrowed = build(smaller)
    theirs, ours = convolutions(model), convolutions(narrowed)
    for name, reads, writes in wiring(architecture):
        kernel, bias = theirs[name].kernel.numpy(), theirs[name].bias.numpy()
        if reads not in _FIXED:
            kernel = kernel[:, :, kept[reads]]
        if writes not in _FIXED:
            kernel, bias = kernel[..., kept[writes]], bias[kept[writes]]
        ours[name].kernel.assign(kernel)
        ours[name].bias.assign(bias)
    return smaller, narrowed


def narrower_widths(widths: Sequence[int], multiple: int = _STEP) -> Iterator[tuple[int, ...]]:
    """The widths of each network that has one level ``multiple`` channels narrower, and at least that many left."""
    for level, width in enumerate(widths):
        less = (width - 1) // multiple * multiple
        if less >= multiple:
            yield (*widths[:level], less, *widths[level + 1 :])


def plan_widths(
    architecture: Architecture,
    model: keras.Model,
    scores: Scores,
    gmacs: float,
    measure: Callable[[keras.Model], float],
    multiple: int = _STEP,
) -> list[SmallerNetwork]:
    """The networks from the original one down to one of at most ``gmacs`` (at 256x256).

    Each step narrows the level that loses the fewest dB per saved multiply-accumulate.

    Args:
        measure: PSNR in dB of a network, on crops that are not trained on.
        multiple: step by which widths decrease, 8 or 16.

    Raises:
        UsageError: even with all levels at ``multiple`` channels, the network is larger.
    """
    path = [SmallerNetwork(architecture.widths, architecture.gmacs(), measure(model))]
    while path[-1].gmacs > gmacs:
        last, found = path[-1], []
        for widths in narrower_widths(last.widths, multiple):
            smaller, narrowed = remove_channels(architecture, model, widths, scores)
            found.append(SmallerNetwork(widths, smaller.gmacs(), measure(narrowed)))
        if not found:
            raise UsageError(
                f"Each level must keep at least {multiple} channels. Received: {gmacs:.4f} GMACs to keep, but the "
                f"narrowest network has {last.gmacs:.4f}. Remedy: remove a share of at most "
                f"{math.floor(100 * (1 - last.gmacs / path[0].gmacs)) / 100:g}."
            )
        path.append(min(found, key=lambda each: max(last.psnr - each.psnr, 1e-3) / (last.gmacs - each.gmacs)))
    return path
