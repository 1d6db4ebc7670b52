"""Matches the operators of a quantized model with those of its float twin."""

from __future__ import annotations

import difflib

from quietcam.tflite.graph import Graph, Op, Tensor

__all__ = ["match_layers"]

_CLIPS = ("MINIMUM", "MAXIMUM", "RELU", "RELU6", "RELU_0_TO_1")


def match_layers(floating: Graph, quantized: Graph) -> list[tuple[Op, Op, Tensor]]:
    """The operators that are in both graphs, by their order, kinds and shapes: float, quantized, the float output.

    If the float graph clips after an operator and the quantized one does not, since its codes end there, the float
    output is that of the clip.
    """

    def keys(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
        return [(op.kind, op.outputs[0].shape) for op in graph.ops]

    readers = {tensor.index: op for op in floating.ops for tensor in op.inputs}
    matcher = difflib.SequenceMatcher(None, keys(floating), keys(quantized), autojunk=False)
    pairs = [
        (floating.ops[block.a + step], quantized.ops[block.b + step])
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    ]
    matched = {id(op) for op, _ in pairs}
    found = []
    for float_op, op in pairs:
        tensor = float_op.outputs[0]
        while (reader := readers.get(tensor.index)) is not None and reader.kind in _CLIPS and id(reader) not in matched:
            tensor = reader.outputs[0]
        if tensor.dtype == "float32" and op.kind not in ("QUANTIZE", "DEQUANTIZE"):
            found.append((float_op, op, tensor))
    return found
