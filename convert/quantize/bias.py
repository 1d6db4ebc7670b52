"""Bias correction: int8 shifts the mean of a convolution's output; a corrected bias removes the shift.

Rounded weights times activations that are mostly positive do not average out to zero, so every channel of every
convolution ends up a little too high or too low, and flat areas get a tint. The shift is measured per channel on
representative frames, against the float network, and subtracted from the int32 bias: no operator is added, no weight
changes.
After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.2,
measured instead of derived.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from convert.quantize.fusion import find_fusion
from quietcam.tflite.graph import Graph, Op, Tensor, read_graph
from quietcam.tflite.measurement import Frames, tensor_runner
from quietcam.tflite.packing import pack, replace_data, unpack

__all__ = ["add_shifts", "measure_shifts"]

_LEAST_ACTIVE = 0.25  # a channel that is mostly off answers weakly; no correction is stretched more than fourfold


def measure_shifts(
    float_content: bytes, int8_content: bytes, frames: Frames, finished: Container[str] = ()
) -> dict[str, NDArray[np.float64]]:
    """What to add to each channel's bias, in real numbers, by the name of the convolution's output.

    Convolutions are measured in order, so that each one sees only the shifts that earlier corrections left.
    Convolutions without a bias, or whose output has no counterpart of the same name in the float model, are skipped.

    Args:
        float_content: the float model that ``int8_content`` was made from, both without manifest.
        frames: frames of the models' size.
        finished: names of the outputs of convolutions whose biases stay as they are.
    """
    graph = read_graph(float_content)
    wanted = {
        op.outputs[0].name: op for op in graph.ops if op.weights is not None and op.outputs[0].name not in finished
    }
    fusion = find_fusion(graph)
    # The float graph clips a video network's share after the convolution, the int8 graph in it.
    shares = () if fusion is None else fusion.shares
    expected = _means(float_content, [op.outputs[0] for op in wanted.values()], frames, clipped=shares)
    shifts: dict[str, NDArray[np.float64]] = {}
    for op in _correctable(read_graph(int8_content)):
        out = op.outputs[0]
        if out.name not in expected:
            continue
        mean, active = _means(int8_content, [out], frames)[out.name]
        shifts[out.name] = (expected[out.name][0] - mean) / np.maximum(active, _LEAST_ACTIVE)
        int8_content = add_shifts(int8_content, {out.name: shifts[out.name]})
    return shifts


def add_shifts(int8_content: bytes, shifts: Mapping[str, NDArray[np.float64]]) -> bytes:
    """The int8 model with ``shifts`` added to the biases of the convolutions whose outputs have these names."""
    model = unpack(int8_content)
    for op in _correctable(read_graph(int8_content)):
        if op.outputs[0].name in shifts:
            bias = op.inputs[2]
            codes = np.rint(shifts[op.outputs[0].name] / np.asarray(bias.scales)).astype(np.int64)
            new = np.clip(np.asarray(bias.data, np.int64) + codes, -(1 << 31), (1 << 31) - 1).astype("<i4")
            replace_data(model, bias.index, new)
    return pack(model)


def _correctable(graph: Graph) -> list[Op]:
    """The int8 convolutions that have a bias."""
    return [
        op
        for op in graph.ops
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and op.is_int8
        and len(op.inputs) > 2
        and op.inputs[2].dtype == "int32"
        and len(op.inputs[2].scales) in (1, op.outputs[0].shape[-1])
    ]


def _means(
    content: bytes, tensors: Iterable[Tensor], frames: Frames, clipped: Container[str] = ()
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """By name, for each channel: the mean in real numbers, and the share of values strictly inside the range.

    Float values of the tensors ``clipped`` are clipped to [0, 1].
    """
    chosen = {each.index: each for each in tensors}
    run = tensor_runner(content, list(chosen))
    sums = {index: [np.zeros(each.shape[-1]), np.zeros(each.shape[-1])] for index, each in chosen.items()}
    positions = dict.fromkeys(chosen, 0)
    for frame in frames():
        for index, values in run(frame):
            if chosen[index].name in clipped:
                values = np.clip(values, 0, 1)
            sums[index][0] += values.sum(0, dtype=np.float64)
            low, high = (-128, 127) if values.dtype == np.int8 else (0.0, np.inf)
            sums[index][1] += ((values > low) & (values < high)).sum(0)
            positions[index] += len(values)
    found = {}
    for index, each in chosen.items():
        mean, active = (total / positions[index] for total in sums[index])
        if each.scales:
            mean = (mean - each.zero_points[0]) * each.scales[0]
        found[each.name] = mean, active
    return found
