"""Resizes a finished model: the same operators, weights, scales and ranges, for frames of another size.

The weights of a convolutional network do not depend on the size of its frames, so training, pruning and quantization
need not be repeated. This needs LiteRT's schema and no TensorFlow, so it runs on a device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from quietcam.errors import ModelError, UsageError
from quietcam.tflite.graph import Graph, Op, cuts, joins, pads, read_graph
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
    sides = _all_sides(graph, height, width, name)
    for each in graph.outputs:
        rows, columns = each.shape[1] * height, each.shape[2] * width
        if sides[each.index] != (rows / old_height, columns / old_width):
            raise _cannot(name, next(op for op in graph.ops if each in op.outputs))
    for index, (rows, columns) in sides.items():
        tensor = subgraph.tensors[index]
        batch, _, _, channels = graph.tensors[index].shape
        tensor.shape = np.array([batch, rows, columns, channels], np.int32)
        tensor.shapeSignature = None
    for op in graph.ops:
        if op.kind in _SIZED:
            replace_data(model, op.inputs[1].index, np.array(sides[op.outputs[0].index], np.int32))
        elif op.kind == "STRIDED_SLICE":
            _cut_there(model, op, sides[op.inputs[0].index])
    return pack(model)


def _all_sides(graph: Graph, height: int, width: int, name: str) -> dict[int, tuple[int, int]]:
    """Height and width of each activation, by its tensor's number, for frames of that size."""
    sides = {each.index: (height, width) for each in graph.inputs}
    for op in graph.ops:
        before = [sides[each.index] for each in op.inputs if each.index in sides]
        if not before or (op.kind in _POINTWISE and joins(op) not in (1, 2) and len(set(before)) > 1):
            raise _cannot(name, op)
        sides[op.outputs[0].index] = _sides(op, before)
    return sides


def _sides(op: Op, before: list[tuple[int, int]]) -> tuple[int, int]:
    """Height and width of what ``op`` gives for inputs of these."""
    kept, padded, along = cuts(op), pads(op), joins(op)

    def side(axis: int) -> int:
        own = [each[axis - 1] for each in before]
        if along == axis:
            return sum(own)
        if kept is not None:
            return len(range(own[0])[kept[axis]])
        if padded is not None:
            return own[0] + sum(padded[axis])
        if op.kind in _WINDOWS:
            return _windows(op, axis, own[0])
        after = op.outputs[0].shape[axis]
        return own[0] * after // op.inputs[0].shape[axis] if op.kind in (*_BLOCKS, *_SIZED) else max(own)

    return side(1), side(2)


def _windows(op: Op, axis: int, side: int) -> int:
    """How many windows along ``axis`` a side of that many pixels gives."""
    options: Any = op.options
    stride = int((options.strideH, options.strideW)[axis - 1])
    if int(options.padding) == _SAME:
        return -(-side // stride)
    return (side - _window(op)[axis - 1]) // stride + 1


def _cut_there(model: Any, op: Op, sides: tuple[int, int]) -> None:
    """Write the far end of a cut for pictures of that size, where the file holds it as a number."""
    places = op.inputs[2]
    ends = np.array(places.data, np.int32)
    for axis, side in enumerate(sides, start=1):
        if ends[axis] >= op.inputs[0].shape[axis]:
            ends[axis] = side
    replace_data(model, places.index, ends)


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
        if not _follows(op):
            raise _cannot(name, op)
    _, height, width, _ = graph.inputs[0].shape
    for index, sides in _all_sides(graph, height, width, name).items():
        if sides != graph.tensors[index].shape[1:3]:
            raise _cannot(name, next(op for op in graph.ops if op.outputs[0].index == index))


def _cannot(name: str, op: Op) -> ModelError:
    return ModelError(
        "A model can be resized if each of its operators scales with the frame's size: convolutions and "
        "pools with padding SAME, sums, ReLUs, space-to-depth, depth-to-space, resizing, and borders that are cut off "
        f"again. Received: {name} with {op.kind} {op.outputs[0].name}. Remedy: convert the .keras file that it was "
        "made from."
    )


def _follows(op: Op) -> bool:
    """True if it is known how the sides of what ``op`` gives depend on those of its input."""
    for each in op.activations:
        shape = each.shape
        if len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
            return False
    if op.kind == "STRIDED_SLICE":
        return cuts(op) is not None
    if op.kind == "PAD":
        return pads(op) is not None
    if op.kind in _WINDOWS:
        return True
    if op.kind in _POINTWISE:  # a constant of the frame's size would have to grow, too
        return all(len(each.shape) < 3 or max(each.shape[-3:-1]) == 1 for each in op.inputs if each.is_constant)
    return op.kind in _BLOCKS or (op.kind in _SIZED and len(op.inputs) == 2 and op.inputs[1].is_constant)


def _window(op: Op) -> tuple[int, int]:
    options: Any = op.options
    if op.weights is None:
        return int(options.filterHeight), int(options.filterWidth)
    height, width = op.weights.shape[1:3]
    return (height - 1) * int(options.dilationHFactor) + 1, (width - 1) * int(options.dilationWFactor) + 1
