"""Which layer int8 hurts most, and why: a quantized model and its float twin, taken apart on the same pictures.

Two things are measured of each layer. The signal to quantization noise ratio of its output when both models run: what
has gathered up to there. And its cost: how much PSNR the float model loses when this layer alone is quantized, weights
and output, and everything else stays as it is. The first falls along the network whoever is guilty; the second points
at the guilty one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.blame.isolate import isolate
from compare.blame.layer_tally import STRETCHED, LayerTally, starved_weights
from quietcam.blocks import depth_to_space
from quietcam.errors import ModelError
from quietcam.image import Image, as_channels, to_float, to_uint8
from quietcam.process.native_output import native_output_caught
from quietcam.terminal.progress import progress
from quietcam.tflite.activations import Activation, Range, layer_name
from quietcam.tflite.graph import Graph, Op, Tensor, read_graph
from quietcam.tflite.measurement import measure_activations, tensor_runner

__all__ = ["LEAST_COST", "Blame", "Layer", "blame", "match_layers"]

PICTURES = 6
LEAST_COST = 0.01
"""dB: what costs less is no culprit."""

_LOOKED_INTO = 5  # layers whose weights are also tried alone
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
        read_levels: levels that each channel makes use of, averaged with the weights that the next layers give it.
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
    read_levels: float | None
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
    graphs = read_graph(floating, reference), read_graph(quantized, model)
    twins = match_layers(*graphs)
    if not twins:
        raise ModelError(
            f"Layers can be blamed where a float model has the same layers. Received: {model} and {reference}, of "
            "which not one matches. Remedy: convert both from one network."
        )
    height, width, channels = graphs[1].inputs[0].shape[1:]

    def cut(picture: Image) -> Image:
        return _frame(as_channels(picture, channels), height, width)

    frames = [(cut(noisy), cut(clean)) for _, (noisy, clean) in zip(range(PICTURES), pairs, strict=False)]
    activations = measure_activations(floating, lambda: (to_float(noisy)[None] for noisy, _ in frames))
    tallies = [LayerTally(float_op, op, tensor, activations[tensor.name]) for float_op, op, tensor in twins]
    with progress("Blaming layers", len(frames) + len(tallies)) as bar:
        outputs = []
        for found_there in _run_both(graphs, (floating, quantized), tallies, frames):
            outputs.append(found_there)
            bar.advance()
        cleans = [clean for _, clean in frames]
        float_psnr = _psnr(cleans, [each for each, _ in outputs])

        def cost(content: bytes) -> float:
            run = _plain(content)
            return float_psnr - _psnr(cleans, [run(noisy) for noisy, _ in frames])

        layers = []
        for tally in tallies:
            names, starved = starved_weights(tally, tallies)
            alone = isolate(floating, activation=tally.rounding, weights=(tally.weights or {}) | starved)
            layers.append(_layer(tally, cost(alone), names))
            bar.advance(note=layers[-1].name)
        for place in sorted(range(len(layers)), key=lambda place: -layers[place].cost)[:_LOOKED_INTO]:
            weights = tallies[place].weights
            if weights is not None and layers[place].cost >= LEAST_COST:
                layers[place] = replace(layers[place], cost_weights=round(cost(isolate(floating, weights=weights)), 4))
    layers = [replace(layer, cause=_cause(layer)) for layer in layers]
    drop = float_psnr - _psnr(cleans, [each for _, each in outputs])
    found = Blame(model, reference, len(frames), round(drop, 4), layers)
    culprit = found.worst[0] if found.worst and found.worst[0].cost >= LEAST_COST else None
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


def _run_both(
    graphs: tuple[Graph, Graph],
    contents: tuple[bytes, bytes],
    tallies: Sequence[LayerTally],
    frames: Sequence[tuple[Image, Image]],
) -> Iterator[tuple[Image, Image]]:
    """Every frame through both models, all layers tallied; what comes out of the float and of the quantized one."""
    ends = [graph.outputs[0] for graph in graphs]
    wanted = [tally.tensor.index for tally in tallies], [tally.op.outputs[0].index for tally in tallies]
    runs = [
        tensor_runner(content, [*indices, end.index])
        for content, indices, end in zip(contents, wanted, ends, strict=True)
    ]
    for noisy, _ in frames:
        found = [[values for _, values in run(to_float(noisy)[None])] for run in runs]
        for tally, values, stored in zip(tallies, *(each[:-1] for each in found), strict=True):
            tally.add(values, stored)
        floating, quantized = (_picture(each[-1], end, noisy.shape) for each, end in zip(found, ends, strict=True))
        yield floating, quantized


def _layer(tally: LayerTally, cost: float, starved: Sequence[str]) -> Layer:
    """Everything that is known of a layer but its cause."""
    activation, ends = tally.activation, tally.ends
    return Layer(
        name=layer_name(tally.op.outputs[0].name),
        kind=tally.op.kind,
        shape=tally.op.outputs[0].shape,
        sqnr=_decibels(tally.signal, tally.noise),
        own_sqnr=_decibels(tally.signal, tally.own_noise) if ends else None,
        cost=round(cost, 4),
        cost_weights=None,
        low=_rounded(ends[0]) if ends else None,
        high=_rounded(ends[1]) if ends else None,
        least=_rounded(activation.low),
        greatest=_rounded(activation.high),
        percentiles={f"{p:g}": _quantile(activation, p / 100) for p in _PERCENTILES},
        levels=tally.levels if ends else None,
        levels_total=len(tally.codes) if ends else None,
        read_levels=round(activation.read_levels(Range(*ends)), 1) if ends else None,
        clipped=round(tally.clipped / max(1, tally.count), 7),
        clipped_error=round(tally.clip_noise / tally.own_noise, 4) if tally.own_noise > 0 else 0.0,
        channel=int(tally.channel_peaks.argmax()),
        channel_peak=_rounded(float(tally.channel_peaks.max())),
        typical_peak=_rounded(tally.typical_peak),
        is_passed_on=tally.is_passed_on,
        starved=tuple(starved),
    )


def _quantile(activation: Activation, share: float) -> float:
    """To the width of a bin; what is nearer to zero than that is zero."""
    value = activation.quantile(share)
    return 0.0 if abs(value) < (activation.high - activation.low) / len(activation.counts) else _rounded(value)


def _cause(layer: Layer) -> str:
    if layer.low is None or layer.high is None or layer.levels is None:
        return "weights alone are quantized here" if layer.cost >= LEAST_COST else ""
    width, total = layer.high - layer.low, layer.levels_total or 256
    if layer.cost_weights is not None and layer.cost_weights >= 0.5 * max(layer.cost, LEAST_COST):
        return (
            f"its weights: quantized alone they cost {layer.cost_weights:.3f} dB, so the weights of one output channel "
            "differ too much in size for one scale"
        )
    middle = layer.percentiles["99.95"] - min(layer.percentiles["0.05"], 0.0)
    if width >= STRETCHED * layer.typical_peak > 0 and layer.channel_peak >= STRETCHED * layer.typical_peak:
        left = max(1, round(layer.typical_peak / width * total))
        return (
            f"an outlier channel: channel {layer.channel} reaches {layer.channel_peak:.3g} where half of the channels "
            f"stay within {layer.typical_peak:.3g}, so the range {layer.low:.3g} to {layer.high:.3g} leaves these "
            f"{left} of {total} levels"
            + (f", and the weights that read it in {', '.join(layer.starved)} get too few steps" * bool(layer.starved))
        )
    if width >= STRETCHED * middle:
        return (
            f"outliers: the range is {layer.low:.3g} to {layer.high:.3g}, but 99.9 % of the values lie in "
            f"{layer.percentiles['0.05']:.3g} to {layer.percentiles['99.95']:.3g}, on {layer.levels} of {total} levels"
        )
    if layer.clipped_error >= _MOSTLY:
        return (
            f"clipping: {100 * layer.clipped:.2g} % of the values lie beyond the range {layer.low:.3g} to "
            f"{layer.high:.3g}, up to {layer.channel_peak:.3g} in channel {layer.channel}, and make "
            f"{100 * layer.clipped_error:.0f} % of its error"
        )
    return (
        f"coarse steps: {width / (total - 1):.2g} each over {layer.low:.3g} to {layer.high:.3g}, of which "
        f"{layer.levels} of {total} levels are used; nothing stands out"
    )


def _verdict(found: Blame, culprit: Layer | None) -> str:
    if culprit is None:
        together = round(found.drop, 3) + 0.0  # no minus before a zero
        return f"No layer of {found.model} costs {LEAST_COST:g} dB by itself; all together cost {together:.3f} dB."
    return (
        f"{culprit.name} ({culprit.kind}) costs most: {culprit.cost:.3f} dB when it alone is quantized "
        f"(all together: {found.drop:.3f} dB). Cause: {culprit.cause}."
    )


def _plain(content: bytes) -> Callable[[Image], Image]:
    """A float model as the device would run it: picture to picture."""
    from ai_edge_litert.interpreter import Interpreter

    with native_output_caught():
        interpreter = Interpreter(model_content=content, num_threads=2)
        interpreter.allocate_tensors()
    entrance, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(noisy: Image) -> Image:
        interpreter.set_tensor(entrance["index"], to_float(noisy)[None])
        interpreter.invoke()
        return to_uint8(interpreter.get_tensor(exit_["index"])[0])

    return run


def _picture(values: NDArray[Any], end: Tensor, shape: tuple[int, ...]) -> Image:
    """What comes out of a model, as pixels; a graph that ends before depth-to-space is brought to its end."""
    if end.dtype == "float32":
        pixels = to_uint8(values)
    else:
        pixels = values if end.dtype == "uint8" else (values.astype(np.int16) + 128).astype(np.uint8)
    pixels = pixels.reshape(end.shape[1:])
    if pixels.shape == shape:
        return pixels
    picture = np.empty(shape, np.uint8)
    depth_to_space(pixels, shape[0] // pixels.shape[0], picture)
    return picture


def _frame(picture: Image, height: int, width: int) -> Image:
    """The middle of a picture, mirrored where it is smaller than the frame."""
    missing = [max(0, side - have) for side, have in zip((height, width), picture.shape, strict=False)]
    if any(missing):
        picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), "symmetric")
    y, x = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[y : y + height, x : x + width])


def _psnr(cleans: Sequence[Image], pictures: Sequence[Image]) -> float:
    """Over all frames together, dB."""
    squares = sum(
        int(np.square(clean.astype(np.int32) - picture).sum()) for clean, picture in zip(cleans, pictures, strict=True)
    )
    return _decibels(255.0**2 * sum(clean.size for clean in cleans), float(squares), most=100.0)


def _decibels(signal: float, noise: float, most: float = _MOST_DB) -> float:
    if noise <= 0.0:
        return most
    return round(min(most, max(-most, 10.0 * math.log10(max(signal, 1e-30) / noise))), 4)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
