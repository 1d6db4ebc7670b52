"""What the activations of a float network are like over representative frames: ranges, percentiles, levels, channels.

Int8 gives a tensor 256 levels between two ends. They are wasted when a few values lie far outside of the rest, or when
one channel is much wider than the others, which share its step. Both can be seen here before anything is quantized.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import ModelError
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.graph import Graph, read_graph
from quietcam.tflite.tensorflow_errors import explain

__all__ = ["Activation", "Frames", "Range", "collapsed", "layer_name", "measure_activations", "tensor_runner"]

Frames = Callable[[], Iterable[NDArray[np.float32]]]
"""Gives float32 ``[1, H, W, C]`` in [0, 1], from the start each time it is called."""

_BINS = 1 << 14
_CHANNEL_BINS = 1 << 11
_SAMPLES = 4096  # positions of each frame that percentiles of channels are taken from
_MIDDLE = 0.999
_LEVELS = 256
_FEW = 24.0
"""A tensor that uses fewer levels, as its channels are read, is called collapsed. See `collapsed`."""
_FUSED = ("/Conv2D", "/BiasAdd", "/conv2d_transpose", "/depthwise", "/MatMul")
_INNER = ("resize", "clip_by_value")
_OP_LAYER = re.compile(r"^tf\.(?:\w+\.)*(\w+?)(?:_\d+)?$")  # what Keras calls a function used as a layer
_SHARED = 4.0  # that many times the typical peak: then one channel, and not a few values, is what stretches the range


@dataclass(frozen=True)
class Range:
    """The least and the greatest value that a tensor's codes stand for."""

    low: float
    high: float

    @property
    def step(self) -> float:
        """Between two of 256 codes."""
        return (self.high - self.low) / (_LEVELS - 1)


@dataclass(frozen=True)
class Activation:
    """One tensor of the float network, over all representative frames.

    Attributes:
        index: the tensor's number in the float model. name: as it stands there. op: the kind of operator that makes it.
        low, high: the least and the greatest value that occurred.
        counts: int64, how many values fell into each of equal bins between ``low`` and ``high``.
        channel_low, channel_high: the same of each channel, the last axis.
        channel_middle: width of the middle 99.9 % of each channel's values, zero kept inside.
        gain: of each channel, the squared weights with which the next convolutions read it, summed.
    """

    index: int
    name: str
    op: str
    low: float
    high: float
    counts: NDArray[np.int64]
    channel_low: NDArray[np.float64]
    channel_high: NDArray[np.float64]
    channel_middle: NDArray[np.float64]
    gain: NDArray[np.float64]

    @property
    def layer(self) -> str:
        """The name for people: what training called the layer, as far as the converter kept it."""
        return layer_name(self.name)

    @property
    def whole(self) -> Range:
        """From the least to the greatest value, zero kept inside, since it must have a code: min/max calibration."""
        return Range(min(self.low, 0.0), max(self.high, 0.0))

    def quantile(self, share: float) -> float:
        """The value that ``share`` (0 to 1) of all values do not exceed, to the width of a bin."""
        if not self.high > self.low:
            return self.low
        return float(np.interp(share, self._below, self.edges))

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """Of the bins, one more than there are counts."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @cached_property
    def _below(self) -> NDArray[np.float64]:
        """Share of values below each edge."""
        return np.concatenate([[0.0], np.cumsum(self.counts) / max(1, self.counts.sum())])

    @property
    def middle(self) -> Range:
        """Where the middle 99.9 % of all values lie, zero kept inside."""
        tail = (1 - _MIDDLE) / 2
        return Range(min(self.quantile(tail), 0.0), max(self.quantile(1 - tail), 0.0))

    def levels(self, chosen: Range | None = None) -> float:
        """How many of 256 levels the middle 99.9 % of all values use, when the codes span ``chosen``.

        Args:
            chosen: Defaults to the range from the least to the greatest value.
        """
        return _levels(self.middle.high - self.middle.low, chosen or self.whole)

    def read_levels(self, chosen: Range | None = None) -> float:
        """Likewise channel by channel, averaged (root mean square) with the weights that the next layers give them.

        All channels share one step. Where one is k times wider than the others and read with 1/k of their weight, the
        float network is the same as with equal channels, and the others are left with 1/k of the levels. That this
        figure shows, and that of all values together does not: a channel in sixteen is 6 % of them.
        """
        total = float(self.gain.sum())
        width = np.sqrt(float(self.gain @ self.channel_middle**2) / total) if total else 0.0
        return _levels(float(width), chosen or self.whole)

    def rails(self, chosen: Range) -> float:
        """Share of values, 0 to 1, beyond the ends of ``chosen``: they are all given the code at that end."""
        if not self.high > self.low:
            return 0.0
        below, above = np.interp([chosen.low, chosen.high], self.edges, self._below)
        return float(max(0.0, below) + max(0.0, 1.0 - above))

    @property
    def widest_channel(self) -> int:
        """The channel with the value farthest from zero."""
        return int(np.argmax(self._peaks))

    @property
    def typical_peak(self) -> float:
        """The median over channels of the greatest absolute value."""
        return float(np.median(self._peaks))

    @property
    def _peaks(self) -> NDArray[np.float64]:
        return np.maximum(np.abs(self.channel_low), np.abs(self.channel_high))

    def cause(self, chosen: Range | None = None) -> str:
        """What the levels are lost to, with its figures, in words for people."""
        span = chosen or self.whole
        peak = self._peaks[self.widest_channel]
        if peak > _SHARED * self.typical_peak:
            why = f"channel {self.widest_channel} reaches {peak:.3g}, the typical one {self.typical_peak:.3g}"
        else:
            why = "a few outliers stretch it"
        return (
            f"its codes span {span.low:.3g} to {span.high:.3g}, 99.9 % of its values lie within {self.middle.low:.3g} "
            f"to {self.middle.high:.3g}, and {self.read_levels(span):.0f} of 256 levels are used as its channels are "
            f"read: {why}"
        )

    def to_dict(self, chosen: Range | None = None) -> dict[str, Any]:
        """Plain values for JSON."""
        span = chosen or self.whole
        return {
            "layer": self.layer,
            "tensor": self.name,
            "op": self.op,
            "low": self.low,
            "high": self.high,
            "range": [span.low, span.high],
            "p99_9": [self.middle.low, self.middle.high],
            "levels": round(self.levels(span), 1),
            "read_levels": round(self.read_levels(span), 1),
            "rails": round(self.rails(span), 7),
            "widest_channel": self.widest_channel,
            "widest_peak": float(self._peaks[self.widest_channel]),
            "typical_peak": self.typical_peak,
        }


def measure_activations(content: bytes, frames: Frames) -> dict[str, Activation]:
    """Every activation that an operator makes, by its tensor's name, in the order of the graph.

    Args:
        content: a float model of one subgraph, without manifest.
        frames: called twice; gives frames of that model's size.
    """
    graph = read_graph(content)
    made = {each.index: (each.name, op.kind) for op in graph.ops for each in op.outputs}
    gains = _gains(graph)
    run = tensor_runner(content, list(made))
    low: dict[int, NDArray[np.float64]] = {}
    high: dict[int, NDArray[np.float64]] = {}
    for frame in frames():
        for index, values in run(frame):
            least, greatest = values.min(0).astype(float), values.max(0).astype(float)
            low[index] = np.minimum(low[index], least) if index in low else least
            high[index] = np.maximum(high[index], greatest) if index in high else greatest
    counts = {index: np.zeros(_BINS, np.int64) for index in made}
    channel_counts = {index: np.zeros((len(low[index]), _CHANNEL_BINS), np.int64) for index in made}
    for frame in frames():
        for index, values in run(frame):
            counts[index] += _binned(values.ravel(), low[index].min(), high[index].max(), _BINS)
            some = values[:: max(1, len(values) // _SAMPLES)]
            for channel, column in enumerate(some.T):
                span = low[index][channel], high[index][channel]
                channel_counts[index][channel] += _binned(column, *span, _CHANNEL_BINS)
    return {
        name: Activation(
            index,
            name,
            op,
            float(low[index].min()),
            float(high[index].max()),
            counts[index],
            low[index],
            high[index],
            np.array([_middle(*each) for each in zip(channel_counts[index], low[index], high[index], strict=True)]),
            gains[index],
        )
        for index, (name, op) in made.items()
    }


def collapsed(activations: Iterable[Activation], ranges: dict[str, Range] | None = None) -> list[Activation]:
    """Those that are left with too few levels for a picture, as their channels are read, worst first.

    Args:
        ranges: by tensor name, what the codes span. Defaults to the extremes (min/max calibration).
    """
    chosen = ranges or {}

    def levels(each: Activation) -> float:
        return each.read_levels(chosen.get(each.name))

    found = [each for each in activations if each.high > each.low and levels(each) < _FEW]
    return sorted(found, key=levels)


def _gains(graph: Graph) -> dict[int, NDArray[np.float64]]:
    """By tensor number, for each channel, the squared weights of all convolutions that read it.

    What is between a tensor and a convolution passes weights on: an ADD, a RELU or a resize keeps channels apart.
    Where no convolution follows, at the end of the network, and where channels are not told apart, all count alike.
    """
    found: dict[int, NDArray[np.float64]] = {}
    for op in reversed(graph.ops):
        out = op.outputs[0]
        behind = found.get(out.index)
        for each in op.inputs:
            if each.is_constant or not each.shape:
                continue
            channels = each.shape[-1]
            if op.weights is not None:
                squares = np.square(np.asarray(op.weights.data, np.float64).reshape(op.weights.shape))
                gain = squares.reshape(-1, channels).sum(0)
            elif behind is not None and len(behind) == channels:
                gain = behind
            else:
                gain = np.full(channels, 1.0 if behind is None else behind.mean())
            found[each.index] = found.get(each.index, np.zeros(channels)) + gain
    for each in graph.outputs:
        found.setdefault(each.index, np.ones(each.shape[-1]))
    return {each.index: np.ones(1) for op in graph.ops for each in op.outputs if not each.shape} | found


def tensor_runner(
    content: bytes, indices: list[int]
) -> Callable[[NDArray[np.float32]], Iterator[tuple[int, NDArray[Any]]]]:
    """Runs a frame and gives ``(index, (positions, channels))`` of each tensor, none of them overwritten.

    The frame is float32 in [0, 1] also for a model with int8 or uint8 ends; what comes out is in the tensor's own type.

    Raises:
        ModelError: LiteRT cannot run the model.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        with native_output_caught(show=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that keeping every tensor takes memory
            interpreter = Interpreter(
                model_content=content,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise _not_run(error) from error
    entrance = interpreter.get_input_details()[0]
    zero = {np.int8: -128, np.uint8: 0}.get(entrance["dtype"])

    def run(frame: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[Any]]]:
        given = frame if zero is None else (np.rint(frame * 255) + zero).astype(entrance["dtype"])
        interpreter.set_tensor(entrance["index"], given)
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise _not_run(error) from error
        for index in indices:
            values = interpreter.get_tensor(index)
            yield index, values.reshape(-1, values.shape[-1] if values.ndim else 1)

    return run


def _not_run(error: Exception) -> ModelError:
    return ModelError(
        f"LiteRT must run the model. Received: {explain(error)}. Remedy: convert a network of layers that TFLite knows."
    )


def _binned(values: NDArray[np.float32], low: float, high: float, bins: int) -> NDArray[np.int64]:
    """A histogram over equal bins from ``low`` to ``high``; several times faster than numpy's own."""
    if not high > low:
        return np.zeros(bins, np.int64)
    places = ((values - np.float32(low)) * np.float32(bins / (high - low))).astype(np.int32)
    return np.bincount(np.clip(places, 0, bins - 1), minlength=bins)


def _middle(counts: NDArray[np.int64], low: float, high: float) -> float:
    """Width of the middle 99.9 % of what was counted between ``low`` and ``high``, zero kept inside."""
    if not high > low or not counts.any():
        return 0.0
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    edges = np.linspace(low, high, len(counts) + 1)
    tail = (1 - _MIDDLE) / 2
    first, last = np.interp([tail, 1 - tail], below, edges)
    return float(max(last, 0.0) - min(first, 0.0))


def _levels(width: float, span: Range) -> float:
    return min(float(_LEVELS), width / span.step) if span.high > span.low else 0.0


def layer_name(tensor: str) -> str:
    """``down0_0`` of ``quietcam/down0_0_relu/Relu6;quietcam/down0_0/BiasAdd;…``: what training called the layer.

    TFLite joins the names of what it fuses by semicolons; the one that names a convolution says most.
    """
    parts = [part.strip("/") for part in tensor.split(";") if part.strip("/")]
    part = next((each for word in _FUSED for each in parts if each.endswith(word)), parts[0] if parts else tensor)
    words = part.split("/")
    if len(words) < 2:
        return "output" if part.startswith(("StatefulPartitionedCall", "Identity")) else part
    words = [_OP_LAYER.sub(r"\1", word) for word in words]
    return "/".join(word for word in words[len(words) > 2 : -1] if word not in _INNER) or words[0]
