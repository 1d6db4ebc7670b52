"""Quantization-aware training with tfmot: during training the network sees the rounding of int8.

Values are rounded where the int8 graph rounds them: kernels per channel, outputs after every ReLU6 and every skip's
sum. Doubling keeps the scale of its input. Beforehand the float network is fitted to int8 in two steps:

1. Its channels are scaled so that their values fill the [0, 6] of their ReLU6 (``scale_channels``). Rare values are
   clipped, so that the steps are finer. The network without rounding is still a plain one.
2. Its kernels are rounded so that outputs stay, not each weight (``round_kernels``).

From then on the ranges are fixed, and the weights adapt.

The residual is rounded to whole steps of a pixel. A picture plus whole steps needs no further rounding, so this costs
no more than rounding the output, which is necessary anyway. It cannot change a pixel by more than 128 of 255 steps;
only salt and pepper would need that.

The fusion of a video network has ranges by design. Difference and change are whole steps of a pixel, and the share has
255 steps from 0 to 1, so the only rounding is that of the change. A product of two whole numbers, divided by 255, is
never halfway between two steps. The int8 kernel rounds it twice, so about one value in a thousand differs by a step
from the change that is rounded once here. No other value of the fused frame, which is remembered, differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from numpy.typing import NDArray

from quietcam.architecture import Architecture, Convolution
from quietcam.image import Image
from quietcam.rounding import nearest_steps, round_kernel
from train.model import build, convolutions, copy_convolutions
from train.pruning.channels import wiring
from train.pruning.magnitude import sparsity

__all__ = [
    "Peaks",
    "Ranges",
    "export",
    "fit_ranges",
    "measure_peaks",
    "measure_ranges",
    "quantizable",
    "round_kernels",
    "scale_channels",
    "trained_weights",
]

Ranges = dict[str, tuple[float, float]]
"""The lowest and the highest value of a layer's output in int8, by name of the layer."""

_Channels = NDArray[np.float64]

Peaks = dict[str, _Channels]
"""The value that each channel reaches, float64 ``(width,)``, by name of the convolution."""

_quantization: Any = tfmot.quantization.keras

_GIVEN_UP = 0.0005
"""The share of a channel's values that is clipped at each end. A larger share gives finer steps, which count where
noise is faint, and takes from salt and pepper and from what is clean. Table in docs/measurements/desktop.md."""

_EVENED = 0.75
"""How far weak channels are raised to the strongest one of their layer: 1 is wholly, 0 not at all. Without training,
and with kernels rounded, ``small_wide`` loses 0.19 dB with 0, 0.11 with 0.75 and 0.12 with 1 (the mean of SIDD's crops,
squeezed pictures, a machine camera and Raspberry Pi cameras); with weights rounded one by one, 0.96, 0.61 and 0.77."""
_WEAKEST = 32.0  # a channel below this part of the strongest is raised no further

_READ = 6000  # places of a batch at which the inputs of a convolution are compared

_OFF_ZERO = 1e-3

_SPARSE = 0.05
_RELU = 6.0
_PIXEL = (0.0, 1.0)
_STEPS = (-128 / 255, 127 / 255)
"""Steps of 1/255, and the widest range that int8 holds of them."""
_FUSION: Ranges = {"difference": _STEPS, "share": _PIXEL, "change": _STEPS, "fuse": _PIXEL}
_CLIPS = ("clip", "share_clip")


def measure_peaks(architecture: Architecture, model: keras.Model, noisy: Image, history: Image | None = None) -> Peaks:
    """Measure the values that the channels after each ReLU6 reach, all but the rarest.

    A video network is measured with its history and, as on a first frame, without; a peak holds both. Without any
    history, nothing is known of its fusion, whose peaks then are 6.

    Args:
        noisy: uint8 patches ``(N, side, side, C)``.
        history: what a video network remembers at each, of the same form; the patch itself where it remembers nothing.
            Defaults to nothing everywhere.
    """
    found = _measure(
        architecture, model, [each.name for each in architecture.convolutions() if each.relu], noisy, history
    )
    peaks = {name: high for name, (_, high) in found.items()}
    if architecture.history and not _remembers(noisy, history).any():
        peaks |= {name: np.full_like(peaks[name], _RELU) for name in ("differ", "weigh")}
    return peaks


def measure_ranges(
    architecture: Architecture, model: keras.Model, noisy: Image, history: Image | None = None
) -> Ranges:
    """The ranges of all outputs that int8 rounds, of a network whose channels fill their ReLU6.

    They are [0, 6] after a ReLU6, measured for the skips' sums, and known by design for pixels and the fusion.

    Args:
        noisy, history: as in ``measure_peaks``.
    """
    sums = _measure(architecture, model, [f"join{level}" for level in range(architecture.levels - 1)], noisy, history)
    # Zero must have a code, because padding is zero. An empty range cannot be divided into levels.
    found = {name: (min(float(low.min()), 0.0), max(float(high.max()), 1e-3)) for name, (low, high) in sums.items()}
    filled = {f"{each.name}_relu": (0.0, _RELU) for each in architecture.convolutions() if each.relu}
    designed = {"residual": _STEPS, "denoise": _PIXEL}
    return filled | found | (designed | _FUSION if architecture.history else designed)


def _measure(
    architecture: Architecture, model: keras.Model, names: list[str], noisy: Image, history: Image | None
) -> dict[str, tuple[_Channels, _Channels]]:
    """The ends of the channels of each named convolution, after its ReLU6, or of each named sum as a whole."""
    layers = convolutions(model)
    if not names:
        return {}
    inner = keras.Model(
        model.inputs,
        {name: model.get_layer(f"{name}_relu" if name in layers else name).output for name in names},
    )
    sides = [[noisy] * len(model.inputs)]
    if architecture.history and history is not None and (live := _remembers(noisy, history)).any():
        sides.append([noisy[live], history[live]])
    ends: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for inputs in sides:
        batches: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
        for values in _run(inner, inputs):
            for name, output in values.items():
                axes = (0, 1, 2) if name in layers else None
                batches[name].append(np.quantile(output, (_GIVEN_UP, 1 - _GIVEN_UP), axis=axes))
        for name, found in batches.items():
            ends[name].append(np.mean(found, axis=0))
    return {
        name: (np.min([each[0] for each in found], axis=0), np.max([each[1] for each in found], axis=0))
        for name, found in ends.items()
    }


def _remembers(noisy: Image, history: Image | None) -> NDArray[np.bool_]:
    """Which patches have a history of their own."""
    return np.zeros(len(noisy), np.bool_) if history is None else (history != noisy).any((1, 2, 3))


def _run(model: keras.Model, inputs: list[Image], batch: int = 16) -> Iterator[Any]:
    """The outputs of ``model`` on uint8 inputs, batch by batch."""
    for start in range(0, len(inputs[0]), batch):
        yield tf.nest.map_structure(
            lambda output: output.numpy(),
            model(
                [tf.constant(each[start : start + batch].astype(np.float32) / 255) for each in inputs], training=False
            ),
        )


def scale_channels(architecture: Architecture, model: keras.Model, peaks: Peaks) -> keras.Model:
    """The same network, scaled so that its channels fill the [0, 6] of their ReLU6; values above 6 are clipped.

    If the weights and the bias of a channel are multiplied by a factor, so is its output. So the weights that read it
    are divided by the same factor. Channels that are added to each other have one factor, by the larger peak. Weak
    channels do not fill their ReLU6 altogether: the weights that read them would become too small for the steps of
    their filters, which the weights of the other channels decide.

    Args:
        peaks: the result of ``measure_peaks`` for ``model``.
    """
    wires = wiring(architecture)
    reached: Peaks = {}
    for name, _, group in wires:
        if name in peaks:
            reached[group] = np.maximum(reached.get(group, 0.0), peaks[name])
    factors = {group: _factors(each) for group, each in reached.items()}
    scaled = build(architecture, name=model.name)
    theirs, ours = convolutions(model), convolutions(scaled)
    for name, reads, writes in wires:
        up, down = factors.get(writes, np.ones(1)), factors.get(reads, np.ones(1))
        ours[name].kernel.assign(theirs[name].kernel.numpy() * up / down[:, np.newaxis])
        ours[name].bias.assign(theirs[name].bias.numpy() * up)
    return scaled


def _factors(peaks: _Channels) -> _Channels:
    strongest = max(float(peaks.max()), 1e-3)
    weaker = np.maximum(peaks, strongest / _WEAKEST) / strongest
    return _RELU / strongest * weaker**-_EVENED


def round_kernels(
    architecture: Architecture, model: keras.Model, ranges: Ranges, noisy: Image, history: Image | None = None
) -> keras.Model:
    """The network with all kernels in whole steps of int8 (``quietcam.rounding``), and biases that keep the means.

    Each convolution is rounded on the values that it reads when all before it is rounded. A weight that becomes zero
    stays slightly off it, so that training does not take it for one that pruning removed.

    Args:
        model: the result of ``scale_channels``. ranges: of ``measure_ranges`` for it.
        noisy, history: as in ``measure_peaks``.
    """
    inputs = [noisy, noisy if history is None else history][: len(model.inputs)]
    rounded = _with_ranges(architecture, ranges, model.name)
    copy_convolutions(model, rounded)
    ours, theirs = convolutions(rounded), convolutions(model)
    for each in architecture.convolutions():
        name = each.name
        exact, given = (
            _moments(keras.Model(net.inputs, net.get_layer(name).input), inputs, each, theirs[name].padding)
            for net in (model, rounded)
        )
        kernel = theirs[name].kernel.numpy()
        new = round_kernel(kernel, given[1])
        ours[name].kernel.assign(np.where(new == 0, _OFF_ZERO * kernel, new))
        means = [
            mean @ k.reshape(-1, each.outputs) for (mean, _), k in ((exact, kernel), (given, ours[name].kernel.numpy()))
        ]
        ours[name].bias.assign(theirs[name].bias.numpy() + (means[0] - means[1]))
    plain = build(architecture, name=model.name)
    copy_convolutions(rounded, plain)
    return plain


def _moments(
    reads: keras.Model, inputs: list[Image], convolution: Convolution, padding: str
) -> tuple[_Channels, _Channels]:
    """Mean and covariance of the values that one output of the convolution reads."""
    sizes, strides = ([1, size, size, 1] for size in (convolution.kernel, convolution.stride))
    total, squares, count = np.zeros(1), np.zeros((1, 1)), 0
    for values in _run(reads, inputs):
        read = tf.image.extract_patches(values, sizes, strides, [1, 1, 1, 1], padding.upper()).numpy()
        read = read.reshape(-1, read.shape[-1])
        read = read[:: max(1, len(read) // _READ)].astype(np.float64)
        total, squares, count = total + read.sum(0), squares + read.T @ read, count + len(read)
    mean = total / count
    return mean, squares / count - np.outer(mean, mean)


def fit_ranges(
    architecture: Architecture, model: keras.Model, noisy: Image, history: Image | None = None
) -> tuple[keras.Model, Ranges]:
    """The network fitted to int8 as far as that goes without training, and its ranges.

    Args:
        noisy, history: as in ``measure_peaks``.
    """
    scaled = scale_channels(architecture, model, measure_peaks(architecture, model, noisy, history))
    ranges = measure_ranges(architecture, scaled, noisy, history)
    return round_kernels(architecture, scaled, ranges, noisy, history), ranges


def quantizable(
    architecture: Architecture, model: keras.Model, ranges: Ranges, precision: str = "float32"
) -> keras.Model:
    """A copy of ``model`` with fake quantization, for further training. Weights that pruning set to zero stay zero.

    Args:
        ranges: the ranges of all outputs that are rounded.
        precision: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``: the type in which convolutions multiply.
            Weights, ranges, rounding and sums are float32.
    """
    combine = tfmot.experimental.combine
    scheme = (
        combine.Default8BitPrunePreserveQuantizeScheme()
        if sparsity(model) > _SPARSE
        else _quantization.default_8bit.Default8BitQuantizeScheme()
    )
    registry = scheme.get_quantize_registry()
    theirs = convolutions(model)
    rounded = dict(ranges)
    if architecture.history:  # after its clip, which lets through the gradients that lead back inside
        rounded["share_clip"] = rounded.pop("share")

    def wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
        kernel = None
        if isinstance(layer, keras.layers.Conv2D):
            shape = (None, None, None, theirs[layer.name].kernel.shape[2])
            layer.build(shape)
            kernel = registry.get_quantize_config(layer)  # must already be built; otherwise the layer's zeros are lost
            layer = _Convolution.from_config(layer.get_config())
            layer.multiplied = keras.mixed_precision.Policy(precision).compute_dtype
            # Build now: the wrapper reads which weights are zero when it is built.
            layer.build(shape)
            layer.kernel.assign(theirs[layer.name].kernel)
            layer.bias.assign(theirs[layer.name].bias)
        elif layer.name not in rounded or layer.name == "denoise":
            return layer  # the last sum has whole steps, and the loss is computed before its clip
        return _quantization.QuantizeWrapperV2(layer, _Config(kernel, rounded.get(layer.name)))

    return build(architecture, wrap, name=model.name)


def export(architecture: Architecture, quantized: keras.Model, ranges: Ranges) -> keras.Model:
    """The plain network with TensorFlow's own fake quantization at these ranges, which every file format keeps.

    Its kernels are in whole steps. Those that were trained are not, and without rounding they are of no use: training
    sees only what they are rounded to, and lets all of them drift together within their steps.
    """
    plain = _with_ranges(architecture, ranges, quantized.name)
    for name, layer in convolutions(plain).items():
        kernel, bias = trained_weights(quantized, name)
        layer.kernel.assign(nearest_steps(kernel.numpy()))
        layer.bias.assign(bias)
    return plain


def _with_ranges(architecture: Architecture, ranges: Ranges, name: str) -> keras.Model:
    """The plain network with fake quantization of its inputs and outputs, and random weights."""

    def bounded(layer: keras.layers.Layer) -> Any:
        if layer.name in _CLIPS:
            return lambda x: x  # the range of the previous layer already clips
        if layer.name not in ranges:
            return layer
        low, high = ranges[layer.name]
        return lambda x: _fake_quant(layer(x), low, high)

    return build(architecture, bounded, name=name, entrance=lambda noisy: _fake_quant(noisy, *_PIXEL))


def trained_weights(quantized: keras.Model, name: str) -> tuple[tf.Variable, tf.Variable]:
    """Kernel and bias of the convolution ``name``. The layer itself holds the rounded kernel of its last call."""
    wrapper = quantized.get_layer(f"quant_{name}")
    by_name = {weight.name.rpartition("/")[2]: weight for weight in wrapper.weights}
    return by_name["kernel:0"], by_name["bias:0"]


def _fake_quant(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return tf.quantization.fake_quant_with_min_max_args(x, min=low, max=high, num_bits=8)


class _Convolution(keras.layers.Conv2D):  # type: ignore[misc]  # tf_keras has no type hints
    """A convolution whose ends and variables are float32; it multiplies in the type ``multiplied``."""

    multiplied = "float32"

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        product = super().convolution_op(tf.cast(inputs, self.multiplied), tf.cast(kernel, self.multiplied))
        return tf.cast(product, tf.float32)


class _Config(_quantization.QuantizeConfig):  # type: ignore[misc]  # tfmot has no type hints
    """Quantizes a kernel by tfmot's own quantizer, an output by a fixed range, or both."""

    def __init__(self, kernel: Any, output: tuple[float, float] | None) -> None:
        self._kernel, self._output = kernel, output

    def get_weights_and_quantizers(self, layer: keras.layers.Layer) -> Any:
        return self._kernel.get_weights_and_quantizers(layer) if self._kernel else []

    def get_activations_and_quantizers(self, layer: keras.layers.Layer) -> Any:  # noqa: ARG002
        return []

    def set_quantize_weights(self, layer: keras.layers.Layer, quantize_weights: Any) -> None:
        if self._kernel:
            self._kernel.set_quantize_weights(layer, quantize_weights)

    def set_quantize_activations(self, layer: keras.layers.Layer, quantize_activations: Any) -> None:
        """Outputs are rounded, not activations."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer: keras.layers.Layer) -> Any:  # noqa: ARG002
        if self._output is None:
            return []
        low, high = self._output
        quantizers = _quantization.quantizers
        return [quantizers.FixedQuantizer(num_bits=8, init_min=low, init_max=high, narrow_range=False)]

    def get_config(self) -> dict[str, Any]:
        """Empty, because this network is never saved; only the result of ``export`` is."""
        return {}
