"""Which layer int8 hurts most, and why: a quantized model and its float twin, taken apart on the same pictures.

Two things are measured of each layer. The signal to quantization noise ratio of its output when both models run: what
has gathered up to there. And its cost: how much PSNR the float model loses when this layer alone is quantized, weights
and output, and everything else stays as it is. The first falls along the network whoever is guilty; the second points
at the guilty one.
"""

from __future__ import annotations

import difflib
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.flatbuffer import Graph, Op, Tensor, read_graph
from convert.isolate import isolate
from quietcam.chatter import chatter_caught
from quietcam.errors import MissingExtraError, ModelError
from quietcam.image import Image, as_channels, to_float, to_uint8
from quietcam.progress import progress

__all__ = ["Blame", "Layer", "blame", "match_layers"]

PICTURES = 6
_LEAST_COST = 0.01  # dB: what costs less is no culprit
_LOOKED_INTO = 5  # layers whose weights are also tried alone
_SAMPLES = 20_000  # values of a tensor and picture that percentiles are taken from
_STRETCHED = 4.0  # a range that many times wider than what most values need is called stretched
_MOSTLY = 0.5
_MOST_DB = 200.0
_CLIPS = ("MINIMUM", "MAXIMUM", "RELU", "RELU6", "RELU_0_TO_1")
_PERCENTILES = (0.05, 50.0, 99.0, 99.9, 99.95, 99.99)


@dataclass(frozen=True)
class Layer:
    """One operator of the quantized model and its twin in the float one.

    Attributes:
        name: the layer's as training called it, as far as the file tells. kind: the operator's.
        sqnr: of the output, both models running, dB: what this and all layers before it have lost.
        own_sqnr: of the float output rounded to this layer's codes, dB; None where the output is not quantized.
        cost: PSNR that the float model loses when this layer alone is quantized, dB.
        cost_weights: likewise, its weights alone; None where that was not looked into.
        low, high: the least and the greatest value that the codes stand for; None where the output is not quantized.
        least, greatest: of the float output. percentiles: of the float output, by percent.
        levels: codes that the middle 99.9 % of the output make use of, of ``levels_total``.
        clipped: share of the float values that no code stands for. clipped_error: their share of the squared error that
            rounding to the codes makes.
        channel, channel_peak: the channel of the greatest absolute value, and that value.
        typical_peak: the median of the channels' greatest absolute values.
        is_passed_on: the output has the very scale of the input, so the range was chosen by an earlier layer.
        starved: layers that read the outlier channel with weights which come out too small for their scale; what they
            lose by that counts with this layer.
        cause: why it costs, in words.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    sqnr: float
    own_sqnr: float | None
    cost: float
    cost_weights: float | None
    low: float | None
    high: float | None
    least: float
    greatest: float
    percentiles: dict[str, float]
    levels: int | None
    levels_total: int | None
    clipped: float
    clipped_error: float
    channel: int
    channel_peak: float
    typical_peak: float
    is_passed_on: bool
    starved: tuple[str, ...] = ()
    cause: str = ""


@dataclass(frozen=True)
class Blame:
    """What came out.

    Attributes:
        model, reference: names of the quantized model and its twin.
        pictures: how many were looked at, each one frame of the models' size.
        drop: float above quantized on these frames, dB.
        layers: in the order of the network.
        culprit: name of the layer that costs most; None where none costs 0.01 dB.
        verdict: one sentence for people.
    """

    model: str
    reference: str
    pictures: int
    drop: float
    layers: list[Layer] = field(default_factory=list)
    culprit: str | None = None
    verdict: str = ""

    @property
    def worst(self) -> list[Layer]:
        """The layers by what they cost, the dearest first; those that pass a range on are left out."""
        return sorted((each for each in self.layers if not each.is_passed_on), key=lambda layer: -layer.cost)


def blame(
    floating: bytes,
    quantized: bytes,
    pairs: Iterable[tuple[Image, Image]],
    *,
    model: str = "the quantized model",
    reference: str = "the float model",
) -> Blame:
    """Take both models apart on up to six pictures.

    Args:
        floating, quantized: two models of one network and one size, without manifest; the first all float.
        pairs: noisy and clean, uint8 ``(H, W, 3)``; of each, one frame of the models' size is looked at.

    Raises:
        ModelError: their layers do not match, or a runtime cannot run one.
        MissingExtraError: LiteRT, whose schema tells what is in a model, is not installed.
    """
    twins = match_layers(read_graph(floating, reference), read_graph(quantized, model))
    if not twins:
        raise ModelError(
            f"Layers can be blamed where a float model has the same layers. Received: {model} and {reference}, of "
            "which not one matches. Remedy: convert both from one network."
        )
    height, width, channels = read_graph(quantized).inputs[0].shape[1:]
    frames = [
        tuple(_frame(as_channels(each, channels), height, width) for each in pair)
        for _, pair in zip(range(PICTURES), pairs, strict=False)
    ]
    tallies = [_Tally(float_op, op, tensor) for float_op, op, tensor in twins]
    runs = _keeping(floating, [tally.tensor.index for tally in tallies])
    quantized_runs = _keeping(quantized, [tally.op.outputs[0].index for tally in tallies])
    with progress("Blaming layers", len(frames) + len(tallies)) as bar:
        outputs = []
        for noisy, _ in frames:
            values, float_out = runs(noisy)
            codes, quantized_out = quantized_runs(noisy)
            for tally, one, other in zip(tallies, values, codes, strict=True):
                tally.add(one, other)
            outputs.append((float_out, quantized_out))
            bar.advance()
        cleans = [clean for _, clean in frames]
        float_psnr = _psnr(cleans, [each for each, _ in outputs])

        def cost(content: bytes) -> float:
            run = _keeping(content, [], is_plain=True)
            return float_psnr - _psnr(cleans, [run(noisy)[1] for noisy, _ in frames])

        layers = []
        for tally in tallies:
            starved = _starved(tally, tallies)
            weights = (tally.weights or {}) | {index: each for _, index, each in starved}
            dear = cost(isolate(floating, activation=tally.rounding, weights=weights))
            layers.append(replace(tally.finish(dear), starved=tuple(name for name, _, _ in starved)))
            bar.advance(note=layers[-1].name)
        dearest = sorted(range(len(layers)), key=lambda place: -layers[place].cost)[:_LOOKED_INTO]
        for place in dearest:
            alone = tallies[place].weights
            if alone is not None and layers[place].cost >= _LEAST_COST:
                layers[place] = replace(layers[place], cost_weights=round(cost(isolate(floating, weights=alone)), 4))
    layers = [replace(layer, cause=_cause(layer)) for layer in layers]
    drop = float_psnr - _psnr(cleans, [each for _, each in outputs])
    found = Blame(model, reference, len(frames), round(drop, 4), layers)
    culprit = found.worst[0] if found.worst and found.worst[0].cost >= _LEAST_COST else None
    return replace(found, culprit=culprit.name if culprit else None, verdict=_verdict(found, culprit))


def match_layers(floating: Graph, quantized: Graph) -> list[tuple[Op, Op, Tensor]]:
    """The operators that stand in both graphs, by their order, kinds and shapes: float, quantized, the float output.

    Where the float graph clips behind an operator and the quantized one does not, since its codes end there, the
    float output is that of the clip.
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


def _starved(tally: _Tally, tallies: Sequence[_Tally]) -> list[tuple[str, int, NDArray[np.float32]]]:
    """The readers of a layer with an outlier channel: name, number of the weights, and these with that channel alone as
    the quantized model has it.

    Weights share a scale for each output channel. Those that read a channel of k times the size of its neighbours are
    k times smaller than theirs, so they get k times fewer steps: the reader pays for what this layer did.
    """
    channel = tally.outlier
    if channel is None:
        return []
    reach, found = {tally.op.outputs[0].index}, []
    for other in tallies:
        if not reach & {tensor.index for tensor in other.op.inputs}:
            continue
        if other.is_passed_on:
            reach.add(other.op.outputs[0].index)
        weights = other.float_weights
        if weights is None or other.weights is None or other.op.kind not in ("CONV_2D", "FULLY_CONNECTED"):
            continue
        ((index, rounded),) = other.weights.items()
        ours, theirs = weights.data, rounded.reshape(weights.shape)
        if ours is None or channel >= theirs.shape[-1]:
            continue
        mixed = ours.reshape(weights.shape).copy()
        mixed[..., channel] = theirs[..., channel]
        found.append((_layer_name(other.op), index, mixed.reshape(-1)))
    return found


class _Tally:
    """What is gathered of one layer over the pictures."""

    def __init__(self, float_op: Op, op: Op, tensor: Tensor) -> None:
        self.op = op
        self.tensor = tensor
        out = op.outputs[0]
        self._scale = out.scales[0] if len(out.scales) == 1 and out.dtype in ("int8", "int16", "uint8") else None
        self._zero = out.zero_points[0] if self._scale is not None else 0
        limits = np.iinfo(out.dtype) if self._scale is not None else None
        self._least_code, self._greatest_code = (limits.min, limits.max) if limits else (0, 0)
        self.float_weights = float_op.weights
        self.weights = _rounded_weights(float_op, op)
        self._signal = self._noise = self._own_noise = self._clip_noise = 0.0
        self._least, self._greatest = math.inf, -math.inf
        self._clipped = self._count = 0
        self._peaks = np.zeros(1, np.float32)
        self._codes = np.zeros(self._greatest_code - self._least_code + 1, np.int64)
        self._sampled: list[NDArray[np.float32]] = []
        self._rng = np.random.default_rng(0)

    @property
    def rounding(self) -> tuple[int, float, int, str] | None:
        """What ``isolate`` is told of the output; None where it is not quantized."""
        if self._scale is None:
            return None
        return self.tensor.index, self._scale, self._zero, self.op.outputs[0].dtype

    @property
    def outlier(self) -> int | None:
        """The channel that stretches the range; None where none does."""
        if self._scale is None:
            return None
        alive = self._peaks[self._peaks > 0]
        typical = float(np.median(alive)) if alive.size else 0.0
        peak = min(float(self._peaks.max()), (self._greatest_code - self._least_code) * self._scale)
        return int(self._peaks.argmax()) if peak >= _STRETCHED * typical > 0 else None

    @property
    def is_passed_on(self) -> bool:
        """Does the output have the very scale of the input, so that an earlier layer has chosen the range?"""
        sources, out = [each for each in self.op.inputs if not each.is_constant], self.op.outputs[0]
        same = len(sources) == 1 and (out.scales, out.zero_points) == (sources[0].scales, sources[0].zero_points)
        return self.weights is None and bool(out.scales) and same

    def add(self, values: NDArray[np.float32], stored: NDArray[Any]) -> None:
        """One picture: the output of the float model, and what the quantized one holds there."""
        self._signal += float(np.square(values, dtype=np.float64).sum())
        self._least, self._greatest = (
            min(self._least, float(values.min())),
            max(self._greatest, float(values.max())),
        )
        self._count += values.size
        self._peaks = np.maximum(self._peaks, np.abs(values).reshape(-1, values.shape[-1]).max(axis=0))
        flat = values.reshape(-1)
        self._sampled.append(flat[self._rng.integers(0, flat.size, min(flat.size, _SAMPLES))])
        if self._scale is None:
            self._noise += _squares(values - stored.astype(np.float32))
            return
        self._noise += _squares(values - _real(stored, self._scale, self._zero))
        exact = np.rint(values / np.float32(self._scale)) + self._zero
        inside = np.clip(exact, self._least_code, self._greatest_code)
        error = values - _real(inside, self._scale, self._zero)
        beyond = exact != inside
        self._clipped += int(np.count_nonzero(beyond))
        self._own_noise += _squares(error)
        self._clip_noise += _squares(error[beyond])
        self._codes += np.bincount(stored.reshape(-1).astype(np.int64) - self._least_code, minlength=len(self._codes))

    def finish(self, cost: float) -> Layer:
        """The layer, without a cause."""
        low = high = levels = own = None
        if self._scale is not None:
            low = (self._least_code - self._zero) * self._scale
            high = (self._greatest_code - self._zero) * self._scale
            share = np.cumsum(self._codes) / max(1, int(self._codes.sum()))
            levels = int(np.searchsorted(share, 0.9995) - np.searchsorted(share, 0.0005, "right")) + 1
            own = _decibels(self._signal, self._own_noise)
        sampled = np.concatenate(self._sampled)
        alive = self._peaks[self._peaks > 0]
        return Layer(
            name=_layer_name(self.op),
            kind=self.op.kind,
            shape=self.op.outputs[0].shape,
            sqnr=_decibels(self._signal, self._noise),
            own_sqnr=own,
            cost=round(cost, 4),
            cost_weights=None,
            low=_short(low),
            high=_short(high),
            least=_rounded(self._least),
            greatest=_rounded(self._greatest),
            percentiles={f"{p:g}": _rounded(float(np.percentile(sampled, p))) for p in _PERCENTILES},
            levels=levels,
            levels_total=len(self._codes) if self._scale is not None else None,
            clipped=round(self._clipped / max(1, self._count), 7),
            clipped_error=round(self._clip_noise / self._own_noise, 4) if self._own_noise > 0 else 0.0,
            channel=int(self._peaks.argmax()),
            channel_peak=_rounded(float(self._peaks.max())),
            typical_peak=_rounded(float(np.median(alive)) if alive.size else 0.0),
            is_passed_on=self.is_passed_on,
        )


def _cause(layer: Layer) -> str:
    if layer.low is None or layer.high is None or layer.levels is None:
        return "weights alone are quantized here" if layer.cost >= _LEAST_COST else ""
    width, total = layer.high - layer.low, layer.levels_total or 256
    if layer.cost_weights is not None and layer.cost_weights >= 0.5 * max(layer.cost, _LEAST_COST):
        return (
            f"its weights: quantized alone they cost {layer.cost_weights:.3f} dB, so the weights of one output channel "
            "differ too much in size for one scale"
        )
    middle = layer.percentiles["99.95"] - min(layer.percentiles["0.05"], 0.0)
    if width >= _STRETCHED * layer.typical_peak > 0 and layer.channel_peak >= _STRETCHED * layer.typical_peak:
        left = max(1, round(layer.typical_peak / width * total))
        return (
            f"an outlier channel: channel {layer.channel} reaches {layer.channel_peak:.3g} where half of the channels "
            f"stay within {layer.typical_peak:.3g}, so the range {layer.low:.3g} to {layer.high:.3g} leaves these "
            f"{left} of {total} levels"
            + (f", and the weights that read it in {', '.join(layer.starved)} get too few steps" * bool(layer.starved))
        )
    if width >= _STRETCHED * middle:
        return (
            f"outliers: the range is {layer.low:.3g} to {layer.high:.3g}, but 99.9 % of the values lie in "
            f"{layer.percentiles['0.05']:.3g} to {layer.percentiles['99.95']:.3g}, on {layer.levels} of {total} levels"
        )
    if layer.clipped_error >= _MOSTLY:
        return (
            f"clipping: {layer.clipped:.2%} of the values lie beyond the range {layer.low:.3g} to {layer.high:.3g}, up "
            f"to {layer.channel_peak:.3g} in channel {layer.channel}, and make {layer.clipped_error:.0%} of its error"
        )
    return (
        f"coarse steps: {width / (total - 1):.2g} each over {layer.low:.3g} to {layer.high:.3g}, of which "
        f"{layer.levels} of {total} levels are used; nothing stands out"
    )


def _verdict(found: Blame, culprit: Layer | None) -> str:
    if culprit is None:
        return f"No layer of {found.model} costs {_LEAST_COST:g} dB by itself; all together cost {found.drop:.3f} dB."
    return (
        f"{culprit.name} ({culprit.kind}) costs most: {culprit.cost:.3f} dB when it alone is quantized "
        f"(all together: {found.drop:.3f} dB). Cause: {culprit.cause}."
    )


def _rounded_weights(float_op: Op, op: Op) -> dict[int, NDArray[np.float32]] | None:
    """The float model's weights of a layer as the quantized one has them, by number; None where there are none."""
    ours, theirs = float_op.weights, op.weights
    if ours is None or theirs is None or theirs.data is None or not theirs.scales or ours.size != theirs.data.size:
        return None
    stored = theirs.data.reshape(theirs.shape).astype(np.float32)
    scales = np.asarray(theirs.scales, np.float32)
    zeros = np.asarray(theirs.zero_points or (0,), np.float32)
    if len(scales) > 1:  # one for each output channel: the last axis of a depthwise convolution, else the first
        last = op.kind == "DEPTHWISE_CONV_2D"
        around = (1,) * (stored.ndim - 1)
        place = (*around, -1) if last else (-1, *around)
        scales, zeros = scales.reshape(place), zeros.reshape(place if len(zeros) > 1 else (1,) * stored.ndim)
    return {ours.index: ((stored - zeros) * scales).reshape(-1)}


def _keeping(content: bytes, indices: Sequence[int], *, is_plain: bool = False) -> Callable[[Image], Any]:
    """Runs a frame; gives copies of the tensors ``indices``, none of them overwritten, and the picture that comes out.

    Args:
        is_plain: keep nothing and run as the device would, which is faster.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("edge", error.name) from None
    options: dict[str, Any] = {}
    if not is_plain:
        options = {
            "experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "experimental_preserve_all_tensors": True,
        }
    with chatter_caught(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that keeping every tensor takes memory
        interpreter = Interpreter(model_content=content, num_threads=2, **options)
        interpreter.allocate_tensors()
    entrance, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(noisy: Image) -> Any:
        is_float = entrance["dtype"] == np.float32
        value = to_float(noisy) if is_float else (noisy.astype(np.int16) - 128).astype(np.int8)
        interpreter.set_tensor(entrance["index"], value[None])
        interpreter.invoke()
        out = interpreter.get_tensor(exit_["index"])[0]
        picture = to_uint8(out) if out.dtype == np.float32 else (out.astype(np.int16) + 128).astype(np.uint8)
        return [interpreter.get_tensor(index) for index in indices], picture

    return run


def _frame(picture: Image, height: int, width: int) -> Image:
    """The middle of a picture, mirrored where it is smaller than the frame."""
    missing = [max(0, side - have) for side, have in zip((height, width), picture.shape, strict=False)]
    if any(missing):
        picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), "symmetric")
    y, x = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[y : y + height, x : x + width])


def _layer_name(op: Op) -> str:
    """``up2_0`` of ``quietcam/up2_0_relu/Relu6;quietcam/up2_0/BiasAdd;…``: the part that names the convolution."""
    parts = [part.strip("/") for part in op.outputs[0].name.split(";") if part.strip("/")]
    wanted = ("/Conv2D", "/BiasAdd", "/convolution", "/conv2d_transpose", "/depthwise")
    part = next((each for word in wanted for each in parts if each.endswith(word)), parts[0] if parts else "")
    words = re.sub(r"\btf\.nn\.(\w+?)(_\d+)?(?=/|$)", r"\1", part).split("/")
    if len(words) < 2:
        return "output" if part.startswith(("StatefulPartitionedCall", "Identity", "denoised")) else part or op.kind
    inner = [word for word in words[1 if len(words) > 2 else 0 : -1] if word not in ("resize", "clip_by_value")]
    return "/".join(inner) or words[-2]


def _psnr(cleans: Sequence[Image], pictures: Sequence[Image]) -> float:
    """Over all frames together, dB."""
    squares = sum(
        int(np.square(clean.astype(np.int32) - picture).sum()) for clean, picture in zip(cleans, pictures, strict=True)
    )
    return _decibels(255.0**2 * sum(clean.size for clean in cleans), float(squares), most=100.0)


def _squares(values: NDArray[Any]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _real(codes: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    real: NDArray[np.float32] = (codes.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return real


def _decibels(signal: float, noise: float, most: float = _MOST_DB) -> float:
    if noise <= 0.0:
        return most
    return round(min(most, max(-most, 10.0 * math.log10(max(signal, 1e-30) / noise))), 4)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _short(value: float | None) -> float | None:
    return None if value is None else _rounded(value)
