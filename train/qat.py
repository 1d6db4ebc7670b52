"""Quantization-aware training with tfmot: the network sees in training what int8 will do to it.

Values are rounded where the int8 graph rounds them: kernels per channel, outputs behind every ReLU6 and every skip's
sum. Doubling keeps its input's scale. Activation ranges are measured in the float network beforehand, rare values given
up for finer steps, and the network is scaled until each is the [0, 6] of its ReLU6 (``fitted``), so that the network
without rounding is a plain one. Then they stay: it is the weights that adapt.

The residual is rounded to whole steps of a pixel. A picture plus whole steps needs no rounding again, so this costs
what rounding the output costs anyway, and nothing finer is to be had. What it cannot do is to move a pixel by more than
128 of 255 steps, which only salt and pepper asks for.
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

__all__ = ["Ranges", "export", "fitted", "measure_ranges", "prepared", "quantizable", "trained_weights"]

Ranges = dict[str, tuple[float, float]]
"""Lowest and highest value that the output of a layer of that name is given in int8."""

_quantization: Any = tfmot.quantization.keras

_GIVEN_UP = 0.0001
"""The share of a tensor's values that is cut off at each end: a trade of what the cut costs against finer steps. Before
training, of a good network, 0.0005 cost 0.35 dB, 0.0001 0.08; after it 0.0005 and 0.00005 were within 0.1."""

_SPARSE = 0.05
_RELU = 6.0
_PIXEL = (0.0, 1.0)
_RESIDUAL = (-128 / 255, 127 / 255)
"""Steps of 1/255, and the widest range of them."""


def measure_ranges(architecture: Architecture, model: keras.Model, noisy: Image, batch: int = 16) -> Ranges:
    """Of every output that int8 rounds, on uint8 patches ``(N, side, side, C)``."""
    names = [f"{c.name}_relu" for c in architecture.convolutions() if c.relu and not c.name.startswith("rise")]
    names += [f"join{level}" for level in range(architecture.levels - 1)]
    inner = keras.Model(model.input, {name: model.get_layer(name).output for name in names})
    ends: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for start in range(0, len(noisy), batch):
        outputs = inner(tf.constant(noisy[start : start + batch].astype(np.float32) / 255), training=False)
        for name, output in outputs.items():
            low, high = np.quantile(output.numpy(), (_GIVEN_UP, 1 - _GIVEN_UP))
            ends[name].append((float(low), float(high)))
    found = {name: tuple(np.mean(pairs, axis=0).tolist()) for name, pairs in ends.items()}
    # Both sides of a skip share the levels of their sum: what rises into it has the skip's own range.
    for level, depth in enumerate(architecture.depths[:-1]):
        found[f"rise{level}_relu"] = low, high = found[f"down{level}_{depth - 1}_relu"]
        found[f"join{level}"] = low, min(2 * high, found[f"join{level}"][1])
    # Zero must be one of the levels: padding is zero. A range of nothing cannot be divided into levels.
    floored = {name: (min(low, 0.0), max(high, 1e-3)) for name, (low, high) in found.items()}
    return floored | {"residual": _RESIDUAL, "denoise": _PIXEL}


def fitted(architecture: Architecture, model: keras.Model, ranges: Ranges) -> tuple[keras.Model, Ranges]:
    """The same network, but for what is beyond ``ranges``, with its values scaled so that each range is its ReLU6's.

    A ReLU network times a factor, its biases too, computes the same times that factor: whatever reads a group of
    channels divides by what the group was multiplied with.

    Args:
        ranges: what ``measure_ranges`` found of ``model``.

    Returns:
        The network, and its ranges: [0, 6] behind every ReLU6, those of the skips' sums scaled, the ends as they were.
    """
    wires = wiring(architecture)
    # Of what is added to each other the first one decides: the skip, to which the others are held.
    factors = {group: _RELU / ranges[f"{name}_relu"][1] for name, _, group in reversed(wires) if name != "residual"}
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


def prepared(architecture: Architecture, model: keras.Model, noisy: Image) -> tuple[keras.Model, Ranges]:
    """Measured on uint8 patches ``(N, side, side, C)`` and ``fitted``; the skips' sums once more, since what rises into
    them is cut off by now."""
    scaled, ranges = fitted(architecture, model, measure_ranges(architecture, model, noisy))
    again = measure_ranges(architecture, scaled, noisy)
    return scaled, ranges | {name: ends for name, ends in again.items() if name.startswith("join")}


def quantizable(
    architecture: Architecture, model: keras.Model, ranges: Ranges, precision: str = "float32"
) -> keras.Model:
    """A copy of ``model`` with fake quantization in it, to be trained on; what pruning made zero stays zero.

    Args:
        ranges: of every output that is rounded.
        precision: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``: convolutions read, multiply and give numbers of
            this type. Weights, ranges, rounding and sums are float32.
    """
    combine = tfmot.experimental.combine
    scheme = (
        combine.Default8BitPrunePreserveQuantizeScheme()
        if sparsity(model) > _SPARSE
        else _quantization.default_8bit.Default8BitQuantizeScheme()
    )
    registry = scheme.get_quantize_registry()
    theirs = convolutions(model)

    def wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
        kernel = None
        if isinstance(layer, keras.layers.Conv2D):
            shape = (None, None, None, theirs[layer.name].kernel.shape[2])
            layer.build(shape)
            kernel = registry.get_quantize_config(layer)  # of a layer without weights, it forgets the zeros
            layer = _Convolution.from_config(layer.get_config())
            layer.multiplied = keras.mixed_precision.Policy(precision).compute_dtype
            # Built beforehand: which weights are to stay zero is read when the wrapper is.
            layer.build(shape)
            layer.kernel.assign(theirs[layer.name].kernel)
            layer.bias.assign(theirs[layer.name].bias)
        elif layer.name not in ranges or layer.name == "denoise":
            return layer  # the last sum is of whole steps, and training looks behind its clip
        return _quantization.QuantizeWrapperV2(layer, _Config(kernel, ranges.get(layer.name)))

    return build(architecture, wrap, name=model.name)


def export(architecture: Architecture, quantized: keras.Model, ranges: Ranges) -> keras.Model:
    """The plain network with TensorFlow's own fake quantization at these ranges: every file format keeps it."""

    def bounded(layer: keras.layers.Layer) -> Any:
        if layer.name == "clip":
            return lambda x: x  # the range of what comes before is a clip
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
    """Kernel and bias of that convolution; the layer itself holds the rounded kernel of its last call."""
    wrapper = quantized.get_layer(f"quant_{name}")
    by_name = {weight.name.rpartition("/")[2]: weight for weight in wrapper.weights}
    return by_name["kernel:0"], by_name["bias:0"]


def _fake_quant(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return tf.quantization.fake_quant_with_min_max_args(x, min=low, max=high, num_bits=8)


class _Convolution(keras.layers.Conv2D):  # type: ignore[misc]  # tf_keras ships no types
    """float32 on both ends and in its variables; what it multiplies is cast to ``multiplied``."""

    multiplied = "float32"

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        product = super().convolution_op(tf.cast(inputs, self.multiplied), tf.cast(kernel, self.multiplied))
        return tf.cast(product, tf.float32)


class _Config(_quantization.QuantizeConfig):  # type: ignore[misc]  # tfmot ships no types
    """A kernel by tfmot's own quantizer, an output by a fixed range, or either."""

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
        """Never saved: ``export`` is."""
        return {}
