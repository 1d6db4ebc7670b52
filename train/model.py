"""The Keras model of an architecture.

A still network takes ``noisy`` and gives ``denoised``. A video network takes ``[noisy, history]`` and gives
``[denoised, history]``: the second output is the fused frame, which it remembers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras as keras

from quietcam.architecture import CELL, Architecture

__all__ = ["FUSION", "Wrap", "build", "convolutions", "copy_convolutions", "freeze_body", "unclipped"]

FUSION = ("differ", "weigh", "share")
"""The convolutions that only a video network has."""

_GAIN = 3.0
_DIFFERENCE_GAIN = 20.0
"""Of the first convolution of a video network's fusion. Its input is a difference between frames, which is small."""
_FIRST_SHARE = 0.4
"""The share of the history that an untrained video network takes everywhere."""

_LEAST_REACH = 1e-3
_LEADS_BACK = 0.05
"""The part of a gradient that passes a ReLU6 where it clips, if it leads back inside."""

Wrap = Callable[[keras.layers.Layer], keras.layers.Layer]


def _as_is(anything: Any) -> Any:
    return anything


def build(
    architecture: Architecture,
    wrap: Wrap = _as_is,
    *,
    name: str = "quietcam",
    precision: str = "float32",
    entrance: Callable[[tf.Tensor], tf.Tensor] = _as_is,
) -> keras.Model:
    """The network as a functional model, float32 ``(batch, height, width, channels)`` in [0, 1] on all ends.

    Height and width are any multiples of ``architecture.stride``. Space-to-depth and depth-to-space are plain
    TensorFlow functions in the graph, so that a saved ``.keras`` file loads everywhere without custom objects.

    Args:
        wrap: called with every Keras layer before it is connected; returns the layer to use instead. Pruning
            and quantization-aware training wrap layers this way. Defaults to the layer itself.
        precision: Keras policy of the convolutions and skips. The last sum and its clip are always float32: bfloat16
            has only 8 bits for a pixel.
        entrance: applied to each input first. Defaults to nothing.
    """
    layers = keras.layers
    convolutions = {convolution.name: convolution for convolution in architecture.convolutions()}

    initializers = {
        # The residual starts at zero: an untrained network returns its input. The first convolution starts so large
        # that values fill the [0, 6] of a ReLU6. If the range extends far beyond the usual values, a network learns to
        # use it in a few places to suppress others, and int8 must spend its levels on these.
        "residual": "zeros",
        "down0_0": _he_normal(_GAIN),
        "differ": _he_normal(_DIFFERENCE_GAIN),
        "share": _he_normal(0.1),
    }

    def convolve(x: tf.Tensor, layer_name: str) -> tf.Tensor:
        c = convolutions[layer_name]
        bias = _FIRST_SHARE if layer_name == "share" else 0.0
        # Of an odd number of steps, the last window would lie elsewhere than in a frame without a border.
        odd = c.stride == 2 and extra[int(layer_name[4]) - 1] % 2 == 1
        if odd:
            x = layers.ZeroPadding2D(((0, 2), (0, 2)), name=f"{layer_name}_border")(x)
        x = wrap(
            layers.Conv2D(
                c.outputs,
                c.kernel,
                strides=c.stride,
                padding="valid" if odd else "same",
                kernel_initializer=initializers.get(layer_name) or _he_normal(1.0),
                bias_initializer=keras.initializers.Constant(bias),
                name=layer_name,
                dtype=precision,
            )
        )(x)
        return wrap(layers.ReLU(6.0, name=f"{layer_name}_relu", dtype=precision))(x) if c.relu else x

    def fuse(noisy: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
        difference = wrap(layers.Subtract(name="difference"))([history, noisy])
        x = convolve(tf.nn.space_to_depth(difference, CELL), "differ")
        x = convolve(convolve(x, "weigh"), "share")
        share = tf.nn.depth_to_space(wrap(layers.ReLU(1.0, name="share_clip"))(x), CELL)
        change = wrap(layers.Multiply(name="change"))([share, difference])
        return wrap(layers.Add(name="fuse"))([noisy, change])

    extra = architecture.extra_steps
    shape = None, None, architecture.channels
    inputs = [keras.Input(shape, name=each) for each in ("noisy", "history")[: 1 + architecture.history]]
    entered = [entrance(each) for each in inputs]
    frame = fuse(*entered) if architecture.history else entered[0]
    blocks = x = tf.nn.space_to_depth(frame, architecture.stem)
    if architecture.border:
        x = _bordered(blocks, architecture.border // architecture.stem)
    skips = []
    for level, depth in enumerate(architecture.depths):
        for index in range(depth):
            x = convolve(x, f"down{level}_{index}")
        skips.append(x)
    for level in range(architecture.levels - 2, -1, -1):
        x = convolve(x, f"rise{level}")
        # TensorFlow always doubles in float32, and XLA refuses the gradient of any other type.
        x = wrap(layers.UpSampling2D(2, interpolation="bilinear", name=f"double{level}", dtype="float32"))(x)
        if extra[level] % 2:
            x = layers.Cropping2D(((0, 1), (0, 1)), name=f"double{level}_cut")(x)
        x = wrap(layers.Add(name=f"join{level}", dtype=precision))([x, skips[level]])
        for index in range(max(1, architecture.depths[level] - 1)):
            x = convolve(x, f"up{level}_{index}")
    x = convolve(x, "residual")
    if architecture.border:
        x = layers.Cropping2D(architecture.border // architecture.stem, name="residual_cut", dtype="float32")(x)
    x = wrap(layers.Add(name="denoise"))([blocks, x])
    x = wrap(layers.ReLU(1.0, name="clip"))(x)
    denoised = tf.nn.depth_to_space(x, architecture.stem)
    if architecture.history:
        return keras.Model(inputs, [denoised, frame], name=name)
    return keras.Model(inputs[0], denoised, name=name)


def _bordered(blocks: tf.Tensor, border: int) -> tf.Tensor:
    """``blocks`` with the outermost ``border`` rows and columns repeated beyond the edges, in their own order.

    They are moved and not mirrored: a mirrored pixel has the noise of its neighbor.
    """
    blocks = tf.concat([blocks[:, :border], blocks, blocks[:, -border:]], axis=1)
    return tf.concat([blocks[:, :, :border], blocks, blocks[:, :, -border:]], axis=2)


def _he_normal(gain: float) -> keras.initializers.Initializer:
    """He et al., "Delving deep into rectifiers" (2015), times ``gain``."""
    return keras.initializers.VarianceScaling(2.0 * gain**2)


def unclipped(model: Any, *, rounded: bool = False) -> Any:
    """``model`` for training: without its last clip, if it has one, and with clips inside that let it learn.

    After the last clip, values below black and above white have no gradient, so pepper and salt could not be learned.

    A channel that a ReLU6 clips everywhere has no gradient either, and never comes back: of the channels of a ``small``
    a quarter ended so. Now a small part of the gradients that lead back inside passes. The clip of the share, which
    stays, too, since a share outside of [0, 1] is none, passes them whole.

    Args:
        rounded: round kernels, and the values after each ReLU6 and each skip's sum, to 8 bits of their present range.
            The same layers belong to ``model``, so it rounds from then on, too.
    """
    for layer in getattr(model, "layers", []):
        inner = getattr(layer, "layer", layer)  # of a wrapper of pruning or quantization
        if isinstance(inner, keras.layers.ReLU) and inner.name != "clip":
            inner.call = _clip_that_learns(float(inner.max_value), 1.0 if inner.name == "share_clip" else _LEADS_BACK)
        if rounded and (inner.name.startswith("join") or inner.name.endswith("_relu")):
            inner.call = _then_rounded(inner.call)
        if rounded and isinstance(inner, keras.layers.Conv2D):
            inner.call = _with_rounded_kernel(inner)
    if not isinstance(model, keras.Model) or not any(layer.name == "denoise" for layer in model.layers):
        return model
    denoised = model.get_layer("denoise").output
    block = math.isqrt(denoised.shape[-1] // model.inputs[0].shape[-1])
    denoised = tf.nn.depth_to_space(denoised, block)
    outputs = [denoised, *model.outputs[1:]] if len(model.outputs) > 1 else denoised
    return keras.Model(model.input, outputs, name=f"{model.name}_unclipped")


def _clip_that_learns(high: float, passed: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """A clip to [0, high]. Where it clips, ``passed`` of a gradient passes if a step along it leads back inside."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def clip(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            leads_back = ((x <= 0.0) & (upstream < 0.0)) | ((x >= high) & (upstream > 0.0))
            part = tf.where(leads_back, tf.cast(passed, x.dtype) * upstream, tf.zeros_like(upstream))
            return tf.where((x > 0.0) & (x < high), upstream, part)

        return tf.clip_by_value(x, 0.0, high), gradient

    clipped: Callable[[tf.Tensor], tf.Tensor] = clip
    return clipped


def _rounded(x: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """``x`` in whole steps; gradients pass as if it were not rounded."""
    return x + tf.stop_gradient(tf.round(x / step) * step - x)


def _then_rounded(call: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def rounded(inputs: Any) -> tf.Tensor:
        x = call(inputs)
        reach = tf.maximum(tf.reduce_max(x), _LEAST_REACH) - tf.minimum(tf.reduce_min(x), 0.0)
        return _rounded(x, tf.stop_gradient(reach) / 255.0)

    return rounded


def _with_rounded_kernel(layer: keras.layers.Conv2D) -> Callable[[tf.Tensor], tf.Tensor]:
    def convolve(x: tf.Tensor) -> tf.Tensor:
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(layer.kernel), (0, 1, 2)))  # of each output channel
        kernel = _rounded(tf.cast(layer.kernel, tf.float32), tf.cast(tf.maximum(largest, 1e-6), tf.float32) / 127.0)
        y = tf.nn.conv2d(x, tf.cast(kernel, x.dtype), layer.strides, layer.padding.upper())
        return y + tf.cast(layer.bias, x.dtype)

    return convolve


def convolutions(model: keras.Model) -> dict[str, keras.layers.Conv2D]:
    """The convolutions of ``model`` by name, unwrapped from wrappers of pruning or quantization."""
    inner = [getattr(layer, "layer", layer) for layer in model.layers]
    return {layer.name: layer for layer in inner if isinstance(layer, keras.layers.Conv2D)}


def freeze_body(model: keras.Model) -> None:
    """Let only the fusion of a video network learn."""
    for name, layer in convolutions(model).items():
        layer.trainable = name in FUSION


def copy_convolutions(source: keras.Model, target: keras.Model) -> None:
    """Copy kernels and biases of the convolutions of ``source`` to those of the same name in ``target``.

    If only ``target`` is a video network, its fusion stays as it is.
    """
    theirs = convolutions(source)
    is_still = len(source.inputs) < len(target.inputs)
    for name, layer in convolutions(target).items():
        if is_still and name in FUSION:
            continue
        layer.kernel.assign(theirs[name].kernel)
        layer.bias.assign(theirs[name].bias)
