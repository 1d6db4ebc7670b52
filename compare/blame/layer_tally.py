"""Sums over one layer while a quantized model and its float twin run on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.tflite.activations import Activation, layer_name
from quietcam.tflite.graph import Op, Tensor

__all__ = ["STRETCHED", "LayerTally", "Weights", "starved_weights"]

STRETCHED = 4.0
"""A range is stretched if it is this many times wider than most values need."""

Weights = dict[int, NDArray[np.float32]]
"""New values for constants of the float model, by their number, for ``isolate``."""

_CODES = ("int8", "int16", "uint8")


class LayerTally:
    """Sums of one layer: its output in the float model, and the corresponding output in the quantized one.

    Args:
        float_op, op: the operator in both models.
        tensor: the float output that belongs to the quantized one.
        activation: statistics of that float output over the same pictures.

    Attributes:
        weights: the float model's weights as the quantized one has them; None if the layer has none.
        signal, noise, own_noise, clip_noise: sums of squares: of the float values; of float minus quantized, both
            running; of the float values minus themselves rounded to the codes; the part of values beyond the codes.
        clipped, count: values beyond the codes, and all. codes: how often each code occurs.
    """

    def __init__(self, float_op: Op, op: Op, tensor: Tensor, activation: Activation) -> None:
        out = op.outputs[0]
        self.op, self.float_weights = op, float_op.weights
        self.tensor, self.activation = tensor, activation
        self.weights = _rounded_weights(float_op, op)
        self._scale = out.scales[0] if len(out.scales) == 1 and out.dtype in _CODES else None
        self._zero = out.zero_points[0] if self._scale is not None else 0
        limits = np.iinfo(out.dtype) if self._scale is not None else None
        self._least_code, self._greatest_code = (limits.min, limits.max) if limits else (0, 0)
        self.signal = self.noise = self.own_noise = self.clip_noise = 0.0
        self.clipped = self.count = 0
        self.codes = np.zeros(self._greatest_code - self._least_code + 1, np.int64)

    @property
    def rounding(self) -> tuple[int, float, int, str] | None:
        """How ``isolate`` rounds the output; None if the output is not quantized."""
        if self._scale is None:
            return None
        return self.tensor.index, self._scale, self._zero, self.op.outputs[0].dtype

    @property
    def ends(self) -> tuple[float, float] | None:
        """The least and the greatest value that the codes represent; None if the output is not quantized."""
        if self._scale is None:
            return None
        return tuple((code - self._zero) * self._scale for code in (self._least_code, self._greatest_code))  # type: ignore[return-value]

    @property
    def levels(self) -> int:
        """The first and the last code that the middle 99.9 % of the quantized output use."""
        share = np.cumsum(self.codes) / max(1, int(self.codes.sum()))
        return int(np.searchsorted(share, 0.9995) - np.searchsorted(share, 0.0005, "right")) + 1

    @property
    def channel_peaks(self) -> NDArray[np.float64]:
        """The greatest absolute value of each channel of the float output."""
        return np.maximum(np.abs(self.activation.channel_low), np.abs(self.activation.channel_high))

    @property
    def typical_peak(self) -> float:
        """The median of ``channel_peaks`` without channels that are always zero."""
        alive = self.channel_peaks[self.channel_peaks > 0]
        return float(np.median(alive)) if alive.size else 0.0

    @property
    def outlier(self) -> int | None:
        """The channel that stretches the range; None if no channel does."""
        if self.ends is None:
            return None
        reach = min(float(self.channel_peaks.max()), self.ends[1] - self.ends[0])
        return int(self.channel_peaks.argmax()) if reach >= STRETCHED * self.typical_peak > 0 else None

    @property
    def is_passed_on(self) -> bool:
        """True if the output has exactly the scale of the input, so an earlier layer has chosen the range."""
        sources, out = [each for each in self.op.inputs if not each.is_constant], self.op.outputs[0]
        same = len(sources) == 1 and (out.scales, out.zero_points) == (sources[0].scales, sources[0].zero_points)
        return self.weights is None and bool(out.scales) and same

    def add(self, values: NDArray[np.float32], stored: NDArray[Any]) -> None:
        """Add one picture: the output in the float and in the quantized model, both of one shape."""
        self.signal += _squares(values)
        self.count += values.size
        if self._scale is None:
            self.noise += _squares(values - stored.astype(np.float32))
            return
        self.noise += _squares(values - self._real(stored))
        exact = np.rint(values / np.float32(self._scale)) + self._zero
        inside = np.clip(exact, self._least_code, self._greatest_code)
        error = values - self._real(inside)
        beyond = exact != inside
        self.clipped += int(np.count_nonzero(beyond))
        self.own_noise += _squares(error)
        self.clip_noise += _squares(error[beyond])
        self.codes += np.bincount(stored.reshape(-1).astype(np.int64) - self._least_code, minlength=len(self.codes))

    def _real(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        real: NDArray[np.float32] = (codes.astype(np.float32) - np.float32(self._zero)) * np.float32(self._scale or 1.0)
        return real


def starved_weights(tally: LayerTally, tallies: Sequence[LayerTally]) -> tuple[list[str], Weights]:
    """The layers whose small weights compensate a layer's outlier channel: their names, and their weights with that
    channel alone as the quantized model has it.

    Weights share a scale for each output channel. Those that read a channel of k times the size of its neighbors are
    k times smaller than theirs, so they get k times fewer steps: the reader pays for what this layer did.
    """
    channel = tally.outlier
    names: list[str] = []
    found: Weights = {}
    if channel is None:
        return names, found
    reach = {tally.op.outputs[0].index}
    for other in tallies:
        if not reach & {tensor.index for tensor in other.op.inputs}:
            continue
        if other.is_passed_on:
            reach.add(other.op.outputs[0].index)
        weights = other.float_weights
        if weights is None or weights.data is None or other.weights is None or channel >= weights.shape[-1]:
            continue
        if other.op.kind not in ("CONV_2D", "FULLY_CONNECTED"):  # the others keep inputs on another axis
            continue
        mixed = weights.data.reshape(weights.shape).copy()
        sizes = np.sqrt(np.square(mixed, dtype=np.float64).reshape(-1, mixed.shape[-1]).mean(axis=0))
        if sizes[channel] * STRETCHED > np.median(sizes):
            continue
        mixed[..., channel] = other.weights[weights.index].reshape(weights.shape)[..., channel]
        names.append(layer_name(other.op.outputs[0].name))
        found[weights.index] = mixed.reshape(-1)
    return names, found


def _rounded_weights(float_op: Op, op: Op) -> Weights | None:
    ours, theirs = float_op.weights, op.weights
    if ours is None or theirs is None or theirs.data is None or not theirs.scales or ours.size != theirs.data.size:
        return None
    stored = theirs.data.reshape(theirs.shape).astype(np.float32)
    scales = np.asarray(theirs.scales, np.float32)
    zeros = np.asarray(theirs.zero_points or (0,), np.float32)
    if len(scales) > 1:  # one for each output channel: the last axis of a depthwise convolution, else the first
        around = (1,) * (stored.ndim - 1)
        place = (*around, -1) if op.kind == "DEPTHWISE_CONV_2D" else (-1, *around)
        scales, zeros = scales.reshape(place), zeros.reshape(place if len(zeros) > 1 else (1,) * stored.ndim)
    return {ours.index: ((stored - zeros) * scales).reshape(-1)}


def _squares(values: NDArray[Any]) -> float:
    return float(np.square(values, dtype=np.float64).sum())
