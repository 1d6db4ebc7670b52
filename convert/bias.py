"""Bias correction: int8 shifts the mean of what a convolution gives; its bias takes the shift back.

Rounded weights times activations that are mostly positive do not average out to zero, so every channel of every
convolution ends up a little too high or too low, and flat areas get a tint. The shift is measured per channel on
representative frames, against the float network, and taken out of the int32 bias: no operator more, no weight changed.
After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.2,
measured instead of derived.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.activations import Frames, tensor_runner
from convert.flatbuffer import Graph, Op, read_graph, schema
from convert.surgery import pack

__all__ = ["correct_bias"]

_LEAST_ACTIVE = 0.25  # a channel that is mostly off answers weakly; no correction is stretched more than fourfold


def correct_bias(float_content: bytes, int8_content: bytes, frames: Frames) -> tuple[bytes, float]:
    """The int8 model with corrected biases, and the largest correction in steps of its convolution's output.

    The convolutions are taken in their order, so that each one sees what is left of the shifts before it. Those whose
    output the float model does not have by the same name, or without a bias, stay as they are.

    Args:
        float_content: the float model that ``int8_content`` was made from, both without manifest.
        frames: of the models' size.
    """
    wanted = {op.outputs[0].name: op for op in read_graph(float_content).ops if op.weights is not None}
    means = {
        name: mean for name, (mean, _) in _means(float_content, [op.outputs[0] for op in wanted.values()], frames)
    }
    largest = 0.0
    names = [op.outputs[0].name for op in _corrected(read_graph(int8_content), means)]
    for name in names:
        graph = read_graph(int8_content)
        op = next(op for op in graph.ops if op.outputs[0].name == name)
        out = op.outputs[0]
        ((_, (mean, active)),) = _means(int8_content, [out], frames)
        shift = (means[name] - mean) / np.maximum(active, _LEAST_ACTIVE)
        bias = op.inputs[2]
        codes = np.rint(shift / np.asarray(bias.scales)).astype(np.int64)
        int8_content = _add(int8_content, bias.index, codes)
        largest = max(largest, float(np.abs(shift).max() / out.scales[0]))
    return int8_content, largest


def _corrected(graph: Graph, means: dict[str, Any]) -> list[Op]:
    """The operators of an int8 model that have a bias and a twin."""
    return [
        op
        for op in graph.ops
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and op.is_int8
        and op.outputs[0].name in means
        and len(op.inputs) > 2
        and op.inputs[2].dtype == "int32"
        and len(op.inputs[2].scales) in (1, op.outputs[0].shape[-1])
    ]


def _means(
    content: bytes, tensors: Iterable[Any], frames: Frames
) -> list[tuple[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """By name, for each channel: the mean in real numbers, and the share of values off the ends of the range."""
    chosen = {each.index: each for each in tensors}
    run = tensor_runner(content, list(chosen))
    sums = {index: [np.zeros(each.shape[-1]), np.zeros(each.shape[-1])] for index, each in chosen.items()}
    positions = dict.fromkeys(chosen, 0)
    for frame in frames():
        for index, values in run(frame):
            sums[index][0] += values.sum(0, dtype=np.float64)
            low, high = (-128, 127) if values.dtype == np.int8 else (0.0, np.inf)
            sums[index][1] += ((values > low) & (values < high)).sum(0)
            positions[index] += len(values)
    found = []
    for index, each in chosen.items():
        mean, active = (total / positions[index] for total in sums[index])
        if each.scales:
            mean = (mean - each.zero_points[0]) * each.scales[0]
        found.append((each.name, (mean, active)))
    return found


def _add(content: bytes, index: int, codes: NDArray[np.int64]) -> bytes:
    """The model with ``codes`` added to the int32 constant number ``index``."""
    kinds = schema()
    model = kinds.ModelT.InitFromPackedBuf(content, 0)
    tensor = model.subgraphs[0].tensors[index]
    old = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view("<i4").astype(np.int64)
    new = np.clip(old + codes, -(1 << 31), (1 << 31) - 1).astype("<i4")
    buffer = kinds.BufferT()
    buffer.data = np.frombuffer(new.tobytes(), np.uint8)
    if sum(each.buffer == tensor.buffer for each in model.subgraphs[0].tensors) > 1:  # shared: it gets one of its own
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    else:
        model.buffers[tensor.buffer] = buffer
    return pack(model, kinds)
