"""Equalizes channels: gives the channels between two successive convolutions similar ranges.

Divide a channel's weights and bias by s > 0, and multiply the weights that read it by s: the float network stays the
same if only a ReLU lies between, since a ReLU commutes with s. All channels of a tensor share one int8 step, so one
channel that is far wider than the others costs them their levels; equalizing restores them at no cost. After Nagel et
al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.1: s = sqrt(r1 / r2), r1
the channel's range, here of its activations, and r2 that of the weights that read it.

ReLU6 clips a channel at six whatever s is, so channels after a ReLU6 stay unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.tflite.activations import Activation
from quietcam.tflite.graph import Graph, Op, read_graph
from quietcam.tflite.packing import pack, replace_data, unpack

__all__ = ["apply_scales", "channel_scales"]

_WIDEST = 1e4  # s stays between 1 / this and this
_FREE = (0, 1)  # the schema's ActivationFunctionType.NONE and RELU


def channel_scales(content: bytes, activations: Mapping[str, Activation]) -> dict[str, NDArray[np.float64]]:
    """The scale s of each channel, by tensor name, for every tensor between two convolutions that may be scaled."""
    found = {}
    graph = read_graph(content)
    for op, readers in _pairs(graph):
        out = op.outputs[0]
        measured = activations[out.name]
        widths = np.maximum(np.abs(measured.channel_low), np.abs(measured.channel_high))
        reading = np.max([np.abs(_weights(each)).reshape(-1, out.shape[-1]).max(0) for each in readers], axis=0)
        alive = (widths > 0) & (reading > 0)
        if not alive.any():
            continue
        scales = np.ones(out.shape[-1])
        scales[alive] = np.sqrt(widths[alive] / reading[alive])
        scales[alive] /= np.exp(np.log(scales[alive]).mean())
        found[out.name] = np.clip(scales, 1 / _WIDEST, _WIDEST)
    return found


def apply_scales(content: bytes, scales: Mapping[str, NDArray[np.float64]]) -> bytes:
    """The float network with the channels of each named tensor divided by their scales. Its outputs stay the same."""
    model = unpack(content)
    new: dict[int, NDArray[np.float64]] = {}

    def values(tensor: Any) -> NDArray[np.float64]:
        return new.setdefault(tensor.index, np.asarray(tensor.data, np.float64).reshape(tensor.shape))

    for op, readers in _pairs(read_graph(content)):
        s = scales.get(op.outputs[0].name)
        if s is None:
            continue
        weights = op.inputs[1]
        new[weights.index] = values(weights) / s.reshape(-1, 1, 1, 1)
        if len(op.inputs) > 2:
            new[op.inputs[2].index] = values(op.inputs[2]) / s
        for each in readers:
            new[each.inputs[1].index] = values(each.inputs[1]) * s
    for index, data in new.items():
        replace_data(model, index, data.astype("<f4"))
    return pack(model)


def _pairs(graph: Graph) -> list[tuple[Op, list[Op]]]:
    """Pairs of a convolution and its readers, if only convolutions read it and none shares constants with others."""
    uses: dict[int, int] = {}
    for op in graph.ops:
        for each in op.inputs:
            uses[each.index] = uses.get(each.index, 0) + 1
    found = []
    for op in graph.ops:
        out = op.outputs[0]
        readers = [each for each in graph.ops if any(given.index == out.index for given in each.inputs)]
        constants = [*op.inputs[1:], *(each.inputs[1] for each in readers if len(each.inputs) > 1)]
        if (
            op.kind == "CONV_2D"
            and op.options.fusedActivationFunction in _FREE
            and readers
            and all(each.kind == "CONV_2D" and each.inputs[0].index == out.index for each in readers)
            and out.index not in {each.index for each in graph.outputs}
            and all(each.is_constant and uses[each.index] == 1 for each in constants)
        ):
            found.append((op, readers))
    return found


def _weights(op: Op) -> NDArray[Any]:
    assert op.weights is not None
    return np.asarray(op.weights.data).reshape(op.weights.shape)
