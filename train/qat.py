"""Quantization-aware training with tfmot: during training the network sees the rounding of int8.

Values are rounded where the int8 graph rounds them: kernels per channel, outputs after every ReLU6 and every skip's
sum. Doubling keeps the scale of its input. Activation ranges are measured in the float network beforehand; rare values
are clipped, so that the steps are finer. Then the network is scaled so that each range is the [0, 6] of its ReLU6
(``scale_to_ranges``), so that the network without rounding is a plain one. From then on the ranges are fixed, and the
weights adapt.

The residual is rounded to whole steps of a pixel. A picture plus whole steps needs no further rounding, so this costs
no more than rounding the output, which is necessary anyway. It cannot change a pixel by more than 128 of 255 steps;
only salt and pepper would need that.

The fusion of a video network has ranges by design. Difference and change are whole steps of a pixel, and the share has
255 steps from 0 to 1, so the only rounding is that of the change. A product of two whole numbers, divided by 255, is
never halfway between two steps. The int8 kernel rounds it twice, so about one value in a thousand differs by a step
from the change that is rounded once here. No other value of the fused frame, which is remembered, differs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from quietcam.architecture import Architecture
from quietcam.image import Image
from train.model import build, convolutions
from train.pruning.channels import wiring
from train.pruning.magnitude import sparsity

__all__ = ["Ranges", "export", "fit_ranges", "measure_ranges", "quantizable", "scale_to_ranges", "trained_weights"]

Ranges = dict[str, tuple[float, float]]
"""The lowest and the highest value of a layer's output in int8, by name of the layer."""

_quantization: Any = tfmot.quantization.keras

_GIVEN_UP = 0.0001
"""The share of a tensor's values that is clipped at each end. A larger share gives finer steps. For a good network,
0.0005 cost 0.35 dB and 0.0001 cost 0.08 dB before training; after it, 0.0005 and 0.00005 differed by less than 0.1."""

_SPARSE = 0.05
_RELU = 6.0
_PIXEL = (0.0, 1.0)
_STEPS = (-128 / 255, 127 / 255)
"""Steps of 1/255, and the widest range that int8 holds of them."""
_FUSION: Ranges = {"difference": _STEPS, "share": _PIXEL, "change": _STEPS, "fuse": _PIXEL}
_CLIPS = ("clip", "share_clip")


def measure_ranges(
    architecture: Architecture, model: keras.Model, noisy: Image, history: Image | None = None, batch: int = 16
) -> Ranges:
    """Measure the ranges of all outputs that int8 rounds.

    A video network is measured with its history and, as on a first frame, without; a range holds both. Without any
    history, nothing is known of its fusion, whose ReLU6 then keep [0, 6].

    Args:
        noisy: uint8 patches ``(N, side, side, C)``.
        history: what a video network remembers at each, of the same form; the patch itself where it remembers nothing.
            Defaults to nothing everywhere.
    """
    names = [f"{c.name}_relu" for c in architecture.convolutions() if c.relu and not c.name.startswith("rise")]
    names += [f"join{level}" for level in range(architecture.levels - 1)]
    inner = keras.Model(model.inputs, {name: model.get_layer(name).output for name in names})
    found = _measure(inner, [noisy] * len(model.inputs), batch)
    if architecture.history:
        remembers = np.zeros(len(noisy), np.bool_) if history is None else (history != noisy).any((1, 2, 3))
        if history is not None and remembers.any():
            live = _measure(inner, [noisy[remembers], history[remembers]], batch)
            found = {name: (min(low, live[name][0]), max(high, live[name][1])) for name, (low, high) in found.items()}
        else:
            found |= {"differ_relu": (0.0, _RELU), "weigh_relu": (0.0, _RELU)}
    # Both inputs of a skip's sum share its levels, so the one that rises gets the range of the skip.
    for level, depth in enumerate(architecture.depths[:-1]):
        found[f"rise{level}_relu"] = low, high = found[f"down{level}_{depth - 1}_relu"]
        found[f"join{level}"] = low, min(2 * high, found[f"join{level}"][1])
    # Zero must have a code, because padding is zero. An empty range cannot be divided into levels.
    floored = {name: (min(low, 0.0), max(high, 1e-3)) for name, (low, high) in found.items()}
    designed = {"residual": _STEPS, "denoise": _PIXEL}
    return floored | (designed | _FUSION if architecture.history else designed)


def _measure(inner: keras.Model, inputs: list[Image], batch: int) -> Ranges:
    """The ranges of the outputs of ``inner``, by their names: the mean over the batches."""
    ends: dict[str, list[tuple[float, float]]] = {}
    for start in range(0, len(inputs[0]), batch):
        sides = [tf.constant(each[start : start + batch].astype(np.float32) / 255) for each in inputs]
        for name, output in inner(sides, training=False).items():
            low, high = np.quantile(output.numpy(), (_GIVEN_UP, 1 - _GIVEN_UP))
            ends.setdefault(name, []).append((float(low), float(high)))
    return {name: tuple(np.mean(pairs, axis=0).tolist()) for name, pairs in ends.items()}


def scale_to_ranges(architecture: Architecture, model: keras.Model, ranges: Ranges) -> tuple[keras.Model, Ranges]:
    """The same network, scaled so that each range is that of its ReLU6; values outside are clipped.

    If the weights and biases of a ReLU layer are multiplied by a factor, so is its output. So the weights of the layers
    that read this group of channels are divided by the same factor.

    Args:
        ranges: the result of ``measure_ranges`` for ``model``.

    Returns:
        The network, and its ranges: [0, 6] after every ReLU6, scaled for the skips' sums, unchanged at both ends.
    """
    wires = wiring(architecture)
    # If channels are added to each other, the first one, the skip, decides the factor.
    factors = {
        group: _RELU / ranges[f"{name}_relu"][1] for name, _, group in reversed(wires) if f"{name}_relu" in ranges
    }
    scaled = build(architecture, name=model.name)
    theirs, ours = convolutions(model), convolutions(scaled)
    for name, reads, writes in wires:
        up = factors.get(writes, 1.0)
        ours[name].kernel.assign(theirs[name].kernel * (up / factors.get(reads, 1.0)))
        ours[name].bias.assign(theirs[name].bias * up)
    fit = {name: (0.0, _RELU) if name.endswith("_relu") else ends for name, ends in ranges.items()}
    for level in range(architecture.levels - 1):
        low, high = ranges[f"join{level}"]
        fit[f"join{level}"] = low, high * factors[f"skip{level}"]
    return scaled, fit


def fit_ranges(
    architecture: Architecture, model: keras.Model, noisy: Image, history: Image | None = None
) -> tuple[keras.Model, Ranges]:
    """The network scaled to its ranges, and these ranges, measured as ``measure_ranges`` does.

    The skips' sums are measured again, since their inputs from the deeper level are clipped after the scaling.
    """
    scaled, ranges = scale_to_ranges(architecture, model, measure_ranges(architecture, model, noisy, history))
    again = measure_ranges(architecture, scaled, noisy, history)
    return scaled, ranges | {name: ends for name, ends in again.items() if name.startswith("join")}


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
    """The plain network with TensorFlow's own fake quantization at these ranges, which every file format keeps."""

    def bounded(layer: keras.layers.Layer) -> Any:
        if layer.name in _CLIPS:
            return lambda x: x  # the range of the previous layer already clips
        if layer.name not in ranges:
            return layer
        low, high = ranges[layer.name]
        return lambda x: _fake_quant(layer(x), low, high)

    plain = build(architecture, bounded, name=quantized.name, entrance=lambda noisy: _fake_quant(noisy, *_PIXEL))
    for name, layer in convolutions(plain).items():
        kernel, bias = trained_weights(quantized, name)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    return plain


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
