"""Describes the activations of a float network over representative frames: ranges, percentiles, levels, channels.

Int8 gives a tensor 256 levels between two ends. Levels are wasted if a few values lie far outside the others, or if
one channel is much wider than the others, because all channels share one step. This module finds both before anything
is quantized.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIDDLE", "Activation", "Range", "collapsed", "layer_name"]

MIDDLE = 0.999
"""Share of the values that counts as their middle."""

_LEVELS = 256
_FEW = 24.0
"""A tensor that uses fewer levels (``read_levels``) is called collapsed. See `collapsed`."""
_FUSED = ("/Conv2D", "/BiasAdd", "/conv2d_transpose", "/depthwise", "/MatMul")
_INNER = ("resize", "clip_by_value")
_OP_LAYER = re.compile(r"^tf\.(?:\w+\.)*(\w+?)(?:_\d+)?$")  # what Keras calls a function used as a layer
_SHARED = 4.0  # a channel this many times wider than the typical peak is named as the cause; below it, outliers are


@dataclass(frozen=True)
class Range:
    """The lowest and the highest value that a tensor's codes represent."""

    low: float
    high: float

    @property
    def step(self) -> float:
        """The difference between two neighboring codes of 256."""
        return (self.high - self.low) / (_LEVELS - 1)


@dataclass(frozen=True)
class Activation:
    """One tensor of the float network, over all representative frames.

    Attributes:
        index: the tensor's number in the float model. name: as it stands there. op: the kind of operator that makes it.
        low, high: the lowest and the highest value that occurred.
        counts: int64, how many values fell into each of equal bins between ``low`` and ``high``.
        channel_low, channel_high: the same for each channel (the last axis).
        channel_middle: width of the middle 99.9 % of each channel's values, extended to include zero.
        gain: for each channel, the sum of the squared weights with which the next convolutions read it.
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
        """The layer's name in training, as far as the converter kept it."""
        return layer_name(self.name)

    @property
    def whole(self) -> Range:
        """From the lowest to the highest value, and zero, which must have a code: min/max calibration."""
        return Range(min(self.low, 0.0), max(self.high, 0.0))

    def quantile(self, share: float) -> float:
        """The value that ``share`` (0 to 1) of all values do not exceed, to the precision of a bin."""
        if not self.high > self.low:
            return self.low
        return float(np.interp(share, self._below, self.edges))

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """The edges of the bins, one more than there are counts."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @cached_property
    def _below(self) -> NDArray[np.float64]:
        """Share of values below each edge."""
        return np.concatenate([[0.0], np.cumsum(self.counts) / max(1, self.counts.sum())])

    @property
    def middle(self) -> Range:
        """The range of the middle 99.9 % of all values, extended to include zero."""
        tail = (1 - MIDDLE) / 2
        return Range(min(self.quantile(tail), 0.0), max(self.quantile(1 - tail), 0.0))

    def levels(self, chosen: Range | None = None) -> float:
        """How many of 256 levels the middle 99.9 % of all values use, when the codes span ``chosen``.

        Args:
            chosen: the range of the codes. Defaults to the range from the lowest to the highest value.
        """
        return _levels(self.middle.high - self.middle.low, chosen or self.whole)

    def read_levels(self, chosen: Range | None = None) -> float:
        """The same for each channel, averaged (root mean square) with the weights that the next layers give the
        channels.

        All channels share one step. If one is k times wider than the others and is read with 1/k of their weight, the
        float network is the same as with equal channels, but the others have only 1/k of the levels. This figure shows
        that; ``levels`` does not, because one channel in sixteen is 6 % of all values.
        """
        total = float(self.gain.sum())
        width = np.sqrt(float(self.gain @ self.channel_middle**2) / total) if total else 0.0
        return _levels(float(width), chosen or self.whole)

    def rails(self, chosen: Range) -> float:
        """Share of values, 0 to 1, outside ``chosen``: all of them get the code at the nearer end."""
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
        """The median over channels of the highest absolute value."""
        return float(np.median(self._peaks))

    @property
    def _peaks(self) -> NDArray[np.float64]:
        return np.maximum(np.abs(self.channel_low), np.abs(self.channel_high))

    def cause(self, chosen: Range | None = None) -> str:
        """Why levels are lost, in words, with the figures."""
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


def collapsed(activations: Iterable[Activation], ranges: dict[str, Range] | None = None) -> list[Activation]:
    """Activations with too few levels for a picture (by ``read_levels``), worst first.

    Args:
        ranges: the ranges of the codes by tensor name. Defaults to the extremes (min/max calibration).
    """
    chosen = ranges or {}

    def levels(each: Activation) -> float:
        return each.read_levels(chosen.get(each.name))

    found = [each for each in activations if each.high > each.low and levels(each) < _FEW]
    return sorted(found, key=levels)


def _levels(width: float, span: Range) -> float:
    return min(float(_LEVELS), width / span.step) if span.high > span.low else 0.0


def layer_name(tensor: str) -> str:
    """``down0_0`` of ``quietcam/down0_0_relu/Relu6;quietcam/down0_0/BiasAdd;…``: the layer's name in training.

    TFLite joins the names of fused layers by semicolons; the name of a convolution is the most useful.
    """
    parts = [part.strip("/") for part in tensor.split(";") if part.strip("/")]
    part = next((each for word in _FUSED for each in parts if each.endswith(word)), parts[0] if parts else tensor)
    words = part.split("/")
    if len(words) < 2:
        return "output" if part.startswith(("StatefulPartitionedCall", "Identity")) else part
    words = [_OP_LAYER.sub(r"\1", word) for word in words]
    return "/".join(word for word in words[len(words) > 2 : -1] if word not in _INNER) or words[0]
