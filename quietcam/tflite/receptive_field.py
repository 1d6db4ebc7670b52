"""Calculates the receptive field from the graph: the size of the input area that affects an output pixel."""

from __future__ import annotations

import math
from typing import Any

from quietcam.tflite.graph import Graph, Op, Tensor, cuts, joins

__all__ = ["receptive_field"]

_Span = tuple[int, int]  # first and last position along an axis; in padding they lie outside the frame
_SAME = 0  # the schema's Padding.SAME
_ELEMENTWISE = (
    *("ADD", "SUB", "MUL", "DIV", "MINIMUM", "MAXIMUM", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "PRELU"),
    *("LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE", "DEQUANTIZE", "CONCATENATION", "SPLIT", "CAST"),
    *("ABS", "NEG", "SQUARE", "SQRT", "RSQRT", "EXP", "ELU", "GELU", "SQUARED_DIFFERENCE"),
)


def receptive_field(graph: Graph) -> int | None:
    """Side in pixels of the square around an output pixel beyond which no pixel of the input can change it.

    That is twice the farthest reach to any side, plus one, over every pixel of one cell of the total stride; the spans
    of positions are followed from the output back to the input along both axes. For a video network it covers both
    outputs and both inputs, so that tiles know how far either looks; what it remembers from earlier frames is not
    counted. None if an operator has no bounded reach or is unknown here.
    """
    largest = 0
    for out in (graph.denoised, graph.remembered):
        reach = 0 if out is None else _reach(graph, out)
        if reach is None:
            return None
        largest = max(largest, reach)
    return 2 * largest + 1


def _reach(graph: Graph, out: Tensor) -> int | None:
    """How far, in pixels, a pixel of the output ``out`` looks at most; None if it is unknown."""
    cell = graph.stride
    largest = 0
    for axis in (1, 2):
        block = max(1, graph.noisy.shape[axis] // out.shape[axis])  # pixels a side, where depth-to-space is left out
        first = out.shape[axis] // 2 // cell * cell
        for position in range(first, min(first + cell, out.shape[axis])):
            span = _back(graph, axis, out, (position, position))
            if span is None:
                return None
            largest = max(largest, (position + 1) * block - 1 - span[0], span[1] - position * block)
    return largest


def _back(graph: Graph, axis: int, out: Tensor, span: _Span) -> _Span | None:
    """The span of the inputs along ``axis`` that the ``span`` of ``out`` depends on; None if it is unknown."""
    needed: dict[int, _Span] = {out.index: span}
    for op in reversed(graph.ops):
        wanted = [needed[each.index] for each in op.outputs if each.index in needed]
        if not wanted:
            continue
        whole = (min(each[0] for each in wanted), max(each[1] for each in wanted))
        found = _through(op, axis, whole)
        if found is None:
            return None
        for each in _followed(op, axis):
            if not each.is_constant:
                before = needed.get(each.index, found)
                needed[each.index] = (min(before[0], found[0]), max(before[1], found[1]))
    read = [needed[each.index] for each in graph.inputs if each.index in needed]
    return (min(first for first, _ in read), max(last for _, last in read)) if read else (0, -1)


def _followed(op: Op, axis: int) -> tuple[Tensor, ...]:
    """The inputs that count. Where pictures are joined along ``axis``, the largest: the others are borders, which only
    pixels next to the edge of the frame see, as they see padding."""
    if joins(op) != axis:
        return op.inputs
    return (max(op.inputs, key=lambda each: each.shape[axis]),)


def _through(op: Op, axis: int, span: _Span) -> _Span | None:
    """The span of the input of ``op`` that the ``span`` of its output depends on."""
    first, last = span
    if joins(op) == axis:
        main = _followed(op, axis)[0]
        before = sum(each.shape[axis] for each in op.inputs[: op.inputs.index(main)])
        return first - before, last - before
    if op.kind in _ELEMENTWISE:
        return span
    data = next((each for each in op.inputs if not each.is_constant), None)
    if data is None or len(data.shape) != 4 or len(op.outputs[0].shape) != 4:
        return None
    inner, outer = data.shape[axis], op.outputs[0].shape[axis]
    if op.kind == "SPACE_TO_DEPTH":
        block = int(op.options.blockSize)
        return first * block, last * block + block - 1
    if op.kind == "DEPTH_TO_SPACE":
        block = int(op.options.blockSize)
        return first // block, last // block
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D"):
        kernel, stride = _window(op, axis)
        before = _padding_before(op.options, inner, outer, kernel, stride)
        return first * stride - before, last * stride - before + kernel - 1
    if op.kind == "TRANSPOSE_CONV" and op.weights is not None:
        kernel, stride = op.weights.shape[axis], int(op.options.strideH if axis == 1 else op.options.strideW)
        before = _padding_before(op.options, outer, inner, kernel, stride)
        return -((kernel - 1 - before - first) // stride), (last + before) // stride
    if op.kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        return _resized(op, inner, outer, span)
    if op.kind == "STRIDED_SLICE":
        kept = cuts(op)
        begin = 0 if kept is None else kept[axis].start
        begin = begin + inner if begin < 0 else begin
        return None if kept is None else (first + begin, last + begin)
    if op.kind in ("PAD", "PADV2", "MIRROR_PAD"):
        before = int(op.inputs[1].data.reshape(-1, 2)[axis][0]) if op.inputs[1].data is not None else 0
        return first - before, last - before
    return None


def _window(op: Op, axis: int) -> tuple[int, int]:
    """Positions that one step of a sliding window spans, dilation included, and its stride."""
    options = op.options
    stride = int(options.strideH if axis == 1 else options.strideW)
    if op.kind.endswith("POOL_2D"):
        return int(options.filterHeight if axis == 1 else options.filterWidth), stride
    assert op.weights is not None
    dilation = int(options.dilationHFactor if axis == 1 else options.dilationWFactor)
    return (op.weights.shape[axis] - 1) * dilation + 1, stride


def _padding_before(options: Any, inner: int, outer: int, kernel: int, stride: int) -> int:
    """Positions that padding adds before the first position."""
    return max(0, (outer - 1) * stride + kernel - inner) // 2 if options.padding == _SAME else 0


def _resized(op: Op, inner: int, outer: int, span: _Span) -> _Span:
    aligned = bool(op.options.alignCorners) and outer > 1
    scale = (inner - 1) / (outer - 1) if aligned else inner / outer
    shift = 0.5 if op.options.halfPixelCenters else 0.0
    places = [(each + shift) * scale - shift for each in span]
    if op.kind == "RESIZE_NEAREST_NEIGHBOR":
        return math.floor((span[0] + shift) * scale), math.floor((span[1] + shift) * scale)
    return math.floor(places[0]), math.ceil(places[1])
