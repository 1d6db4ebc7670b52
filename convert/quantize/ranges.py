"""Chooses the ranges of activations, which set the int8 scales, from the values that the float graph computes.

TensorFlow's own calibration is not used, for two reasons. It reads a tensor after the next operator has run, and an ADD
that writes in place has overwritten its input by then, so a convolution before an ADD gets the range of the sum. And it
takes the smallest and the largest value that occurred, so one outlier in a million makes every step coarser. Here a
small tail on each side is clipped instead, or the tails whose clipping gives the least squared error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.quantize.fusion import STEPS, find_fusion
from quietcam.errors import ModelError
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.activations import Activation, Range
from quietcam.tflite.graph import Graph, read_graph
from quietcam.tflite.measurement import Frames, measure_activations
from quietcam.tflite.packing import pack, schema, unpack
from quietcam.tflite.tensorflow_errors import explain

__all__ = [
    "DEFAULT_RULE",
    "TAIL",
    "Frames",
    "Range",
    "RangeRule",
    "choose_ranges",
    "measure_ranges",
    "quantize",
    "stored_ranges",
    "widened",
]

TAIL = 1e-4
"""Share of values that may lie beyond each end of a range. On 4 SIDD crops at sensor scale the demo's network lost
0.19, 0.12, 0.09, 0.11, 0.15 and 0.24 dB with 0, 1e-5, 1e-4, 5e-4, 1e-3 and 2e-3; on the noisiest of them 0.09, 0.07,
0.07, 0.21, 0.41 and 0.78: values that are rare in the set are common in a very noisy picture."""

_PIXEL_OPS = (
    *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "STRIDED_SLICE"),
    *("RELU", "RELU6", "RELU_0_TO_1", "MINIMUM", "MAXIMUM"),
)
_PIXELS = Range(0.0, 1.0)
_GRID = np.concatenate([[0.0], np.geomspace(1e-6, 0.05, 48)])  # candidate tails for the least squared error
_STEPS = 255


@dataclass(frozen=True)
class RangeRule:
    """How a range is chosen from the values that occurred.

    Attributes:
        tail: share of values that may lie beyond each end; 0 is min/max. None chooses the ends with the least squared
            error of rounding inside the range and clipping outside it.
    """

    tail: float | None = TAIL

    def __str__(self) -> str:
        if self.tail is None:
            return "least squared error"
        return f"{100 * (1 - self.tail):g}th percentile" if self.tail else "min/max"

    def choose(self, activation: Activation) -> Range:
        """The range for one tensor. It includes zero, which must have a code."""
        if not activation.high > activation.low:
            return activation.whole
        if self.tail is None:
            return _least_error(activation)
        return _cut(activation.counts, activation.low, activation.high, self.tail)


DEFAULT_RULE = RangeRule()


def choose_ranges(
    content: bytes, activations: Iterable[Activation], rule: RangeRule = DEFAULT_RULE
) -> dict[str, Range]:
    """A range for each activation, by its tensor's name.

    Tensors that hold pixels, at all ends of the network, get exactly [0, 1], that is, scale 1/255 and zero point -128.
    What is added to pixels gets whole steps of a pixel, scale 1/255 and zero point 0, unless it needs a wider range:
    the sum then rounds nothing more, and salt and pepper can be moved by half of the range of a pixel.
    Those of a video network's fusion get the ranges that they have by design (``convert.quantize.fusion``).

    Args:
        content: the float model that was measured.
    """
    graph = read_graph(content)
    fusion = find_fusion(graph)
    designed = {} if fusion is None else fusion.ranges
    pixels = _pixel_tensors(graph, {each for each, span in designed.items() if span == _PIXELS})
    chosen = {each.name: rule.choose(each) for each in activations}
    whole = {
        name: STEPS
        for name in _residual_tensors(graph, pixels) & chosen.keys()
        if STEPS.low <= chosen[name].low and chosen[name].high <= STEPS.high
    }
    return chosen | whole | designed | dict.fromkeys(pixels, _PIXELS)


def measure_ranges(content: bytes, frames: Frames, tail: float = TAIL) -> dict[str, Range]:
    """The range of each activation over all frames, with at most the share ``tail`` of values beyond each end."""
    return choose_ranges(content, measure_activations(content, frames).values(), RangeRule(tail))


def stored_ranges(content: bytes) -> dict[str, Range]:
    """The range that the int8 codes of each activation cover, by its tensor's name."""
    found: dict[str, Range] = {}
    for op in read_graph(content).ops:
        for each in op.activations:
            if each.dtype == "int8" and len(each.scales) == len(each.zero_points) == 1:
                (scale,), (zero,) = each.scales, each.zero_points
                found[each.name] = Range((-128 - zero) * scale, (127 - zero) * scale)
    return found


def widened(had: Range, found: Range) -> Range:
    """``had``, extended to ``found`` on each side where that exceeds it by more than half a step."""
    slack = had.step / 2
    return Range(
        found.low if found.low < had.low - slack else had.low,
        found.high if found.high > had.high + slack else had.high,
    )


def quantize(content: bytes, ranges: Mapping[str, Range], excluded: Sequence[str] = ()) -> bytes:
    """The float model ``content`` in int8, weights per channel, both ends int8, activations scaled to ``ranges``.

    Args:
        excluded: names of output tensors whose operators stay float (selective quantization in QuantizationDebugger).

    Raises:
        ModelError: the quantizer refuses an operator.
    """
    model = unpack(content)
    for tensor in model.subgraphs[0].tensors:
        if (found := ranges.get(tensor.name.decode())) is not None:
            tensor.quantization = schema().QuantizationParametersT()
            tensor.quantization.min, tensor.quantization.max = [found.low], [found.high]
    try:
        with native_output_caught(show=False):
            import tensorflow as tf
            from tensorflow.lite.python.convert import mlir_quantize

            return bytes(
                mlir_quantize(
                    pack(model),
                    fully_quantize=True,
                    input_data_type=tf.int8,
                    output_data_type=tf.int8,
                    denylisted_nodes=set(excluded) or None,
                )
            )
    except ModuleNotFoundError:
        raise
    except Exception as error:  # the quantizer raises errors of any class
        raise ModelError(
            f"The model must convert with recipe int8. Received: {explain(error)}. "
            "Remedy: replace the layer by layers that have an int8 kernel, or choose another recipe."
        ) from error


def _cut(counts: NDArray[np.int64], low: float, high: float, tail: float) -> Range:
    """The range without its tails, to the precision of a bin. It includes zero, which must have a code."""
    if not high > low:
        return Range(min(low, 0.0), max(high, 0.0))
    below = np.cumsum(counts) / counts.sum()
    edges = np.linspace(low, high, len(counts) + 1)
    first = int(np.searchsorted(below, tail, "right"))
    last = int(np.searchsorted(below, 1.0 - tail, "left"))
    return Range(min(float(edges[first]), 0.0), max(float(edges[last + 1]), 0.0))


def _least_error(activation: Activation) -> Range:
    """The ends with the least squared error of rounding and clipping, from a grid of tails on each side."""
    counts, edges = activation.counts.astype(np.float64), activation.edges
    centers = (edges[:-1] + edges[1:]) / 2
    total = counts.sum()

    def ends(shares: NDArray[np.float64]) -> list[float]:
        return [activation.quantile(float(share)) for share in shares]

    def clipped(end: float, above: bool) -> float:
        beyond = np.maximum(centers - end, 0.0) if above else np.maximum(end - centers, 0.0)
        return float(counts @ beyond**2 / total)

    lows = sorted({min(each, 0.0) for each in ends(_GRID)})
    highs = sorted({max(each, 0.0) for each in ends(1 - _GRID)})
    low_errors, high_errors = [clipped(end, False) for end in lows], [clipped(end, True) for end in highs]
    errors = [
        (below + above + ((high - low) / _STEPS) ** 2 / 12, low, high)
        for low, below in zip(lows, low_errors, strict=True)
        for high, above in zip(highs, high_errors, strict=True)
        if high > low
    ]
    _, low, high = min(errors)
    return Range(low, high)


def _pixel_tensors(graph: Graph, inner: set[str]) -> set[str]:
    """Names of the network's ends, of ``inner`` pixels, and of tensors next to them that rearrange or clip pixels."""
    ends = {each.name for each in (*graph.inputs, *graph.outputs)}
    after = {each.name for each in graph.inputs} | inner
    for op in graph.ops:
        joined = op.kind == "CONCATENATION" and all(each.name in after for each in op.inputs)
        if joined or (op.kind in _PIXEL_OPS and op.inputs[0].name in after):
            after.add(op.outputs[0].name)
    before = {each.name for each in graph.outputs}
    for op in reversed(graph.ops):
        if op.kind in _PIXEL_OPS and op.outputs[0].name in before:
            before.add(op.inputs[0].name)
    return ends | after | before


def _residual_tensors(graph: Graph, pixels: set[str]) -> set[str]:
    """Names of what is added to pixels or taken from them, and of the same before it is cut or rearranged."""
    found: set[str] = set()
    for op in reversed(graph.ops):
        into = op.outputs[0].name
        names = {each.name for each in op.inputs}
        if op.kind in ("ADD", "SUB") and into in pixels and names & pixels:
            found |= names - pixels
        elif op.kind in _PIXEL_OPS and into in found:
            found.add(op.inputs[0].name)
    return found
