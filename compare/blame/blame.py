"""Finds the layer that int8 hurts most, and why: compares a quantized model and its float twin layer by layer.

Two figures are measured for each layer. The first is the signal to quantization noise ratio of its output when both
models run: the error of this and all earlier layers. It falls along the network, whichever layer is the cause. The
second is the layer's cost: how much PSNR the float model loses if only this layer is quantized, weights and output. It
shows which layer is the cause.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from compare.blame.cause import cause_of, verdict_on
from compare.blame.isolate import isolate
from compare.blame.layer_tally import LayerTally, starved_weights
from compare.blame.match import match_layers
from compare.blame.running import float_runner, middle, run_both
from compare.blame.values import LEAST_COST, Blame, Layer
from quietcam.errors import ModelError
from quietcam.image import Image, as_channels, to_float
from quietcam.metrics import MOST_DB
from quietcam.terminal.progress import progress
from quietcam.tflite.activations import Activation, Range, layer_name
from quietcam.tflite.graph import read_graph
from quietcam.tflite.measurement import measure_activations

__all__ = ["blame"]

PICTURES = 6
"""Most pictures that are examined."""

_LOOKED_INTO = 5  # layers whose weights are also quantized alone
_MOST_SQNR = 200.0
_PERCENTILES = (0.05, 50.0, 99.0, 99.9, 99.95, 99.99)


def blame(
    floating: bytes,
    quantized: bytes,
    pairs: Iterable[tuple[Image, Image]],
    *,
    model: str = "the quantized model",
    reference: str = "its float twin",
) -> Blame:
    """Compare both models layer by layer on up to six pictures.

    Args:
        floating, quantized: two models of one network and one size, without manifest; the first has only floats.
        pairs: noisy and clean, uint8 ``(H, W, 3)``; one frame of the models' size is used of each.

    Raises:
        ModelError: their layers do not match, or the runtime cannot run one of them.
        MissingExtraError: LiteRT, whose schema describes a model's content, is not installed.
    """
    graphs = read_graph(floating, reference), read_graph(quantized, model)
    twins = match_layers(*graphs)
    if not twins:
        raise ModelError(
            f"A quantized model and its float twin must have the same layers. Received: {model} and "
            f"{reference}, of which no layer matches. Remedy: convert both from one network."
        )
    height, width, channels = graphs[1].noisy.shape[1:]

    def cut(picture: Image) -> Image:
        return middle(as_channels(picture, channels), height, width)

    frames = [(cut(noisy), cut(clean)) for _, (noisy, clean) in zip(range(PICTURES), pairs, strict=False)]
    activations = measure_activations(floating, lambda: (to_float(noisy)[None] for noisy, _ in frames))
    tallies = [LayerTally(float_op, op, tensor, activations[tensor.name]) for float_op, op, tensor in twins]
    with progress("Comparing layers", len(frames) + len(tallies)) as bar:
        outputs = []
        for found_there in run_both(graphs, (floating, quantized), tallies, frames):
            outputs.append(found_there)
            bar.advance()
        cleans = [clean for _, clean in frames]
        float_psnr = _psnr(cleans, [each for each, _ in outputs])

        def cost(content: bytes) -> float:
            run = float_runner(content)
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
    layers = [replace(layer, cause=cause_of(layer)) for layer in layers]
    drop = float_psnr - _psnr(cleans, [each for _, each in outputs])
    found = Blame(model, reference, len(frames), round(drop, 4), layers)
    culprit = found.worst[0] if found.worst and found.worst[0].cost >= LEAST_COST else None
    return replace(found, culprit=culprit.name if culprit else None, verdict=verdict_on(found, culprit))


def _layer(tally: LayerTally, cost: float, starved: Sequence[str]) -> Layer:
    """Everything that is known about a layer, except its cause."""
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


def _psnr(cleans: Sequence[Image], pictures: Sequence[Image]) -> float:
    """PSNR over all frames together, dB."""
    squares = sum(
        int(np.square(clean.astype(np.int32) - picture).sum()) for clean, picture in zip(cleans, pictures, strict=True)
    )
    return _decibels(255.0**2 * sum(clean.size for clean in cleans), float(squares), most=MOST_DB)


def _decibels(signal: float, noise: float, most: float = _MOST_SQNR) -> float:
    if noise <= 0.0:
        return most
    return round(min(most, max(-most, 10.0 * math.log10(max(signal, 1e-30) / noise))), 4)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
