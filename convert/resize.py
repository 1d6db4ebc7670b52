"""Resizes a finished model: the same operators, weights, scales and ranges, for frames of another size.

The weights of a convolutional network do not depend on the size of its frames, so training, pruning and quantization
need not be repeated. This needs LiteRT's schema and no TensorFlow, so it runs on a device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from quietcam.errors import ModelError, UsageError
from quietcam.tflite.graph import Graph, Op, read_graph
from quietcam.tflite.manifest import strip_manifest
from quietcam.tflite.packing import pack, replace_data, unpack

__all__ = ["check_stride", "resize"]

_POINTWISE = (
    *("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "CONCATENATION", "QUANTIZE", "DEQUANTIZE"),
    *("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "LEAKY_RELU", "PRELU", "LOGISTIC", "TANH", "HARD_SWISH"),
)
_WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D")
_BLOCKS = ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
_SIZED = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")  # their output's height and width are stored in a constant
_SAME = 0  # the schema's Padding.SAME


def resize(content: bytes, width: int, height: int, name: str = "The model") -> bytes:
    """The model for frames of ``width`` x ``height`` pixels, without its manifest; unchanged bytes at its own size.

    Args:
        content: a whole model whose inputs and outputs are pictures of one size.
        name: the model's name in messages.

    Raises:
        UsageError: the size is not a multiple of the network's total stride.
        ModelError: the graph has an operator that depends on the frame's size in another way.
    """
    content = strip_manifest(content)
    graph = read_graph(content, name)
    _, old_height, old_width, _ = graph.inputs[0].shape
    if (old_width, old_height) == (width, height):
        return content
    _check_operators(graph, name)
    check_stride(graph.stride, width, height)
    model = unpack(content, name)
    subgraph = model.subgraphs[0]
    ends = {each.index for each in graph.inputs}  # one that no operator reads, too
    for index in sorted(ends | {each.index for op in graph.ops for each in op.activations}):
        tensor = subgraph.tensors[index]
        batch, rows, columns, channels = graph.tensors[index].shape
        tensor.shape = np.array([batch, rows * height // old_height, columns * width // old_width, channels], np.int32)
        tensor.shapeSignature = None
    for op in graph.ops:
        if op.kind in _SIZED:
            sides = subgraph.tensors[op.outputs[0].index].shape[1:3]
            replace_data(model, op.inputs[1].index, sides.astype(np.int32))
    return pack(model)


def check_stride(stride: int, width: int, height: int) -> None:
    """Check a size in pixels against a network's total stride.

    Raises:
        UsageError: it is not a multiple; the message names the nearest size that is.
    """
    if height % stride or width % stride:
        raise UsageError(
            f"Width and height must be multiples of the network's total stride, {stride}. Received: {width}x{height}. "
            f"Remedy: `size={max(1, round(width / stride)) * stride}x{max(1, round(height / stride)) * stride}`"
        )


def _check_operators(graph: Graph, name: str) -> None:
    for op in graph.ops:
        if not _follows(op, graph):
            raise ModelError(
                "A model can be resized if each of its operators scales with the frame's size: convolutions and "
                f"pools with padding SAME, sums, ReLUs, space-to-depth, depth-to-space, and resizing. Received: "
                f"{name} with {op.kind} {op.outputs[0].name}. Remedy: convert the .keras file that it was made from."
            )


def _follows(op: Op, graph: Graph) -> bool:
    """True if ``op`` outputs ``n`` times the pixels when its input has ``n`` times the pixels."""
    _, height, width, _ = graph.inputs[0].shape
    for each in op.activations:
        shape = each.shape
        if len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
            return False
        # If a side does not divide the frame's, a crop, a border or a global pool made it.
        if shape[1] * graph.stride % height or shape[2] * graph.stride % width:
            return False
    if op.kind in _WINDOWS:
        return int(op.options.padding) == _SAME or _is_apart(op)
    if op.kind in _POINTWISE:  # a constant of the frame's size would have to grow, too
        return all(len(each.shape) < 3 or max(each.shape[-3:-1]) == 1 for each in op.inputs if each.is_constant)
    return op.kind in _BLOCKS or (op.kind in _SIZED and len(op.inputs) == 2 and op.inputs[1].is_constant)


def _is_apart(op: Op) -> bool:
    """True if the windows do not overlap. Then each gives one pixel, also with padding VALID."""
    options: Any = op.options
    height, width = (options.filterHeight, options.filterWidth) if op.weights is None else op.weights.shape[1:3]
    return bool(height <= options.strideH and width <= options.strideW)
