"""The ranges of activations that int8 scales come from, measured in the float graph.

TensorFlow's own calibration is not used, for two reasons. It reads a tensor after the next operator has run, and an ADD
that writes in place has overwritten its input by then, so a convolution before an ADD gets the range of the sum. And it
takes the least and the greatest value that ever occurred, so one outlier in a million coarsens every step; here a small
tail on each side is given up instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.flatbuffer import schema
from quietcam.chatter import chatter_caught

__all__ = ["TAIL", "Frames", "Range", "measure_ranges", "quantize"]

TAIL = 5e-4
"""Share of values that may lie beyond each end of a range. Least loss of 0, 1e-5, 1e-4, 5e-4 and 1e-3, measured on the
demo's network: 0.12, 0.07, 0.04, 0.04 and 0.04 dB."""

Frames = Callable[[], Iterable[NDArray[np.float32]]]
"""Gives float32 ``[1, H, W, C]`` in [0, 1], from the start each time it is called."""

_BINS = 1 << 14
_PIXEL_OPS = ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "RELU", "RELU6", "RELU_0_TO_1", "MINIMUM", "MAXIMUM")


@dataclass(frozen=True)
class Range:
    """The least and the greatest value that a tensor's codes stand for."""

    low: float
    high: float


def measure_ranges(content: bytes, frames: Frames, tail: float = TAIL) -> dict[str, Range]:
    """The range of each activation by its name, over all frames, at most ``tail`` of the values beyond each end.

    Tensors that hold pixels, at both ends of the network, get exactly [0, 1], so that they quantize to 1/255 and -128.

    Args:
        content: a float model of one subgraph, without manifest.
        frames: called twice; gives frames of that model's size.
    """
    model = schema().ModelT.InitFromPackedBuf(content, 0)
    subgraph = model.subgraphs[0]
    names = {int(i): subgraph.tensors[i].name.decode() for op in subgraph.operators for i in op.outputs}
    run = _runner(content, list(names))
    low = dict.fromkeys(names, np.inf)
    high = dict.fromkeys(names, -np.inf)
    for frame in frames():
        for index, values in run(frame):
            low[index], high[index] = min(low[index], values.min()), max(high[index], values.max())
    counts = {index: np.zeros(_BINS, np.int64) for index in names}
    for frame in frames():
        for index, values in run(frame):
            if high[index] > low[index]:
                counts[index] += np.histogram(values, _BINS, (low[index], high[index]))[0]
    ranges = {names[i]: _cut(counts[i], float(low[i]), float(high[i]), tail) for i in names}
    pixels = Range(0.0, 1.0)
    return ranges | {subgraph.tensors[i].name.decode(): pixels for i in _pixel_tensors(model)}


def quantize(content: bytes, ranges: dict[str, Range]) -> bytes:
    """The float model ``content`` in int8, weights per channel, both ends int8, activations scaled to ``ranges``."""
    import flatbuffers

    model = schema().ModelT.InitFromPackedBuf(content, 0)
    for tensor in model.subgraphs[0].tensors:
        if (found := ranges.get(tensor.name.decode())) is not None:
            tensor.quantization = schema().QuantizationParametersT()
            tensor.quantization.min, tensor.quantization.max = [found.low], [found.high]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with chatter_caught():
        import tensorflow as tf
        from tensorflow.lite.python.convert import mlir_quantize

        return bytes(
            mlir_quantize(
                bytes(builder.Output()), fully_quantize=True, input_data_type=tf.int8, output_data_type=tf.int8
            )
        )


def _cut(counts: NDArray[np.int64], low: float, high: float, tail: float) -> Range:
    """The range without its tails, to the width of a bin; zero stays inside, since it must have a code."""
    if not high > low:
        return Range(min(low, 0.0), max(high, 0.0))
    below = np.cumsum(counts) / counts.sum()
    edges = np.linspace(low, high, len(counts) + 1)
    first = int(np.searchsorted(below, tail, "right"))
    last = int(np.searchsorted(below, 1.0 - tail, "left"))
    return Range(min(float(edges[first]), 0.0), max(float(edges[last + 1]), 0.0))


def _pixel_tensors(model: Any) -> set[int]:
    """The ends, and what only rearranges or clips pixels behind the input and before the output."""
    subgraph = model.subgraphs[0]
    kinds = {getattr(schema().BuiltinOperator, kind) for kind in _PIXEL_OPS}

    def rearranges(op: Any) -> bool:
        code = model.operatorCodes[op.opcodeIndex]
        return max(code.builtinCode, code.deprecatedBuiltinCode) in kinds

    found = {int(i) for i in (*subgraph.inputs, *subgraph.outputs)}
    after_input = {int(i) for i in subgraph.inputs}
    for op in subgraph.operators:
        if rearranges(op) and int(op.inputs[0]) in after_input:
            after_input.add(int(op.outputs[0]))
    before_output = {int(i) for i in subgraph.outputs}
    for op in reversed(subgraph.operators):
        if rearranges(op) and int(op.outputs[0]) in before_output:
            before_output.add(int(op.inputs[0]))
    return found | after_input | before_output


def _runner(content: bytes, indices: list[int]) -> Any:
    """Runs a frame and gives ``(index, values)`` of each tensor, none of them overwritten."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with chatter_caught(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that keeping every tensor takes memory
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    entrance = interpreter.get_input_details()[0]["index"]

    def run(frame: NDArray[np.float32]) -> Any:
        interpreter.set_tensor(entrance, frame)
        interpreter.invoke()
        return ((index, interpreter.get_tensor(index)) for index in indices)

    return run
