"""Gives a video network's body the int8 of a finished file: that of the still network whose weights the body has.

A still network that was trained with quantization has ranges to which its weights are adapted. If only the fusion of a
video network is trained on top of it, these ranges and the rounded weights and biases are still the best, so they are
taken over unchanged. Without a past the int8 video network then gives the still network's picture to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.quantize.fusion import find_fusion
from convert.quantize.ranges import stored_ranges
from quietcam.errors import UsageError
from quietcam.rounding import FARTHEST
from quietcam.tflite.activations import Range, layer_name
from quietcam.tflite.graph import Graph, Op, Tensor, cuts, joins, pads, read_graph
from quietcam.tflite.packing import pack, replace_data, unpack

__all__ = ["Body", "find_body", "rounds_to"]

_FARTHEST = FARTHEST + 0.01  # steps; slightly more, because scales are float32
_ALIKE = 0.75  # steps, root mean square; nearest steps are 0.29 off, those of weights that make up for rounding 0.4


@dataclass(frozen=True)
class Body:
    """The operators of a video network that are those of a finished int8 file.

    Attributes:
        ranges: the range that the finished file gives each output of the body, by its name in the video network.
        convolutions: the finished file's convolutions, by the name of their output in the video network.
    """

    ranges: dict[str, Range]
    convolutions: dict[str, Op]

    def write(self, int8_content: bytes) -> bytes:
        """The int8 video network with the finished file's weights and biases, and the scales of both."""
        model = unpack(int8_content)
        for op in read_graph(int8_content).ops:
            finished = self.convolutions.get(op.outputs[0].name)
            if finished is None or not op.is_int8:  # what a rescue left in float stays so
                continue
            for ours, theirs in zip(op.inputs[1:], finished.inputs[1:], strict=True):
                replace_data(model, ours.index, theirs.data)
                stored = model.subgraphs[0].tensors[ours.index].quantization
                stored.scale = np.asarray(theirs.scales, np.float32)
                stored.zeroPoint = np.asarray(theirs.zero_points, np.int64)
        return pack(model)


def find_body(content: bytes, int8_content: bytes, name: str = "the file") -> Body:
    """The body of the float video network ``content``, which has the weights of ``int8_content``.

    Args:
        int8_content: the finished int8 file of a still network, of any size.
        name: what messages call it.

    Raises:
        UsageError: it is no such file, or has other weights.
    """
    graph, still = read_graph(content), read_graph(int8_content)
    fusion = find_fusion(graph)
    if fusion is None:
        raise _refused("a network without such a fusion", "leave it out")
    if still.history is not None or not all(op.is_int8 for op in still.ops):
        raise _refused(f"{name}, which is a video network or not int8", "give the int8 file of the still network")
    fused = next(op.outputs[0] for op in graph.ops if op.outputs[0].name == fusion.fused)
    pairs: dict[int, Tensor] = {still.noisy.index: fused}
    matched: list[tuple[Op, Op]] = []
    for theirs in still.ops:
        ours = _counterpart(graph, theirs, pairs)
        if ours is not None:
            pairs[theirs.outputs[0].index] = ours.outputs[0]
            matched.append((theirs, ours))
        elif theirs.weights is not None:
            raise _refused(
                f"{name}, whose layer {layer_name(theirs.outputs[0].name)} has weights that the video network lacks",
                "give the still network whose weights training began with, if its body was frozen; otherwise leave "
                "it out",
            )
    had = stored_ranges(int8_content)
    return Body(
        {ours.outputs[0].name: had[theirs.outputs[0].name] for theirs, ours in matched},
        {ours.outputs[0].name: theirs for theirs, ours in matched if theirs.weights is not None},
    )


def rounds_to(exact: Op, rounded: Op) -> bool:
    """True if the int8 weights of ``rounded`` are the float weights of ``exact``, rounded in either way."""
    a, b = exact.weights, rounded.weights
    if exact.kind != rounded.kind or a is None or b is None or a.shape != b.shape or not b.scales:
        return False
    channels = -1 if rounded.kind == "DEPTHWISE_CONV_2D" else 0
    sides = [1] * len(b.shape)
    sides[channels] = -1
    scales: NDArray[np.float64] = np.reshape(np.asarray(b.scales), sides)
    steps = np.reshape(np.asarray(a.data, np.float64), a.shape) / scales
    off = steps - np.reshape(np.asarray(b.data, np.float64), b.shape)
    return bool(np.max(np.abs(off)) <= _FARTHEST and np.sqrt(np.mean(np.square(off))) <= _ALIKE)


def _counterpart(graph: Graph, theirs: Op, pairs: dict[int, Tensor]) -> Op | None:
    """The operator of ``graph`` that does to the counterparts of its inputs what ``theirs`` does; None if none does."""
    given = [pairs.get(each.index) for each in theirs.inputs if not each.is_constant]
    wanted = sorted(each.index for each in given if each is not None)
    for op in graph.ops:
        reads = sorted(each.index for each in op.inputs if not each.is_constant)
        same = op.kind == theirs.kind and len(op.inputs) == len(theirs.inputs) and reads == wanted
        same = same and (cuts(op), joins(op), pads(op)) == (cuts(theirs), joins(theirs), pads(theirs))
        if same and None not in given and (theirs.weights is None or rounds_to(op, theirs)):
            return op
    return None


def _refused(received: str, remedy: str) -> UsageError:
    return UsageError(
        "`body` is the int8 file of the still network that a video network denoises its fused frame with. Received: "
        f"{received}. Remedy: {remedy}."
    )
