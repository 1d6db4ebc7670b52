"""Turns a float model file into a TensorFlow function for the converter, when there is no Keras model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quietcam.errors import ModelError
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.graph import Op, Tensor, cuts, read_graph

__all__ = ["replay"]

_PADDING = ("SAME", "VALID")  # indexed by the schema's numbers
_RELU, _RELU6 = 1, 3  # the schema's fused activations


def replay(content: bytes, name: str = "The model") -> Callable[..., dict[str, Any]]:
    """A function that computes the model's outputs from float32 tensors ``[1, H, W, C]`` in [0, 1].

    It takes ``noisy``, and ``history`` for a video network. It returns ``denoised``, and ``history`` if the graph has
    that output.

    Args:
        content: a float32 model of the family (``quietcam.architecture``), at any size.

    Raises:
        ModelError: it has an operator that no model of the family has.
    """
    graph = read_graph(content, name)
    unknown = [op.kind for op in graph.ops if op.kind not in _KINDS]
    if unknown:
        raise ModelError(
            f"A .tflite can be converted again if its operators are among {', '.join(_KINDS)}. Received: {name} with "
            f"{unknown[0]}. Remedy: convert the .keras file that it was made from."
        )
    with native_output_caught():
        import tensorflow as tf

    outputs = {"denoised": graph.denoised}
    if graph.remembered is not None and graph.remembered.index != graph.denoised.index:
        outputs["history"] = graph.remembered

    def compute(made: dict[int, Any]) -> dict[str, Any]:
        for op in graph.ops:
            inputs = [_constant(each) if each.is_constant else made[each.index] for each in op.inputs]
            made[op.outputs[0].index] = _fused(tf, op, _KINDS[op.kind](tf, op, *inputs))
        return {word: made[each.index] for word, each in outputs.items()}

    if graph.history is None:
        return lambda noisy: compute({graph.noisy.index: noisy})
    remembered = graph.history.index
    return lambda noisy, history: compute({graph.noisy.index: noisy, remembered: history})


def _constant(tensor: Tensor) -> Any:
    return np.reshape(np.asarray(tensor.data), tensor.shape)


def _fused(tf: Any, op: Op, values: Any) -> Any:
    kind = int(getattr(op.options, "fusedActivationFunction", 0) or 0)
    return tf.nn.relu6(values) if kind == _RELU6 else tf.nn.relu(values) if kind == _RELU else values


def _convolved(tf: Any, op: Op, values: Any, kernel: Any, bias: Any = None) -> Any:
    options = op.options
    found = tf.nn.conv2d(
        values,
        np.transpose(kernel, (1, 2, 3, 0)),
        (options.strideH, options.strideW),
        _PADDING[options.padding],
        dilations=(options.dilationHFactor, options.dilationWFactor),
    )
    return found if bias is None else tf.nn.bias_add(found, bias)


def _resized(tf: Any, op: Op, values: Any, _: Any) -> Any:
    """Resize by a factor, such as 2, because the size in the file is valid for the file's own frames only."""
    factors = [after // before for before, after in zip(op.inputs[0].shape[1:3], op.outputs[0].shape[1:3], strict=True)]
    sides = [int(side) * factor for side, factor in zip(values.shape[1:3], factors, strict=True)]
    return tf.compat.v1.image.resize_bilinear(
        values, sides, align_corners=op.options.alignCorners, half_pixel_centers=op.options.halfPixelCenters
    )


def _cut(_: Any, op: Op, values: Any, *__: Any) -> Any:
    """Cut as the file does, also from pictures of another size."""
    kept = cuts(op)
    if kept is None:
        raise ModelError(f"A STRIDED_SLICE must only cut pictures. Received: {op.outputs[0].name}.")
    return values[kept]


_KINDS: dict[str, Callable[..., Any]] = {
    "CONV_2D": _convolved,
    "ADD": lambda tf, _, a, b: tf.add(a, b),
    "SUB": lambda tf, _, a, b: tf.subtract(a, b),
    "MUL": lambda tf, _, a, b: tf.multiply(a, b),
    "MINIMUM": lambda tf, _, a, b: tf.minimum(a, b),
    "RELU": lambda tf, _, values: tf.nn.relu(values),
    "RELU6": lambda tf, _, values: tf.nn.relu6(values),
    "RESIZE_BILINEAR": _resized,
    "SPACE_TO_DEPTH": lambda tf, op, values: tf.nn.space_to_depth(values, op.options.blockSize),
    "STRIDED_SLICE": _cut,
    "CONCATENATION": lambda tf, op, *values: tf.concat(values, op.options.axis),
    "PAD": lambda tf, _, values, sides: tf.pad(values, sides),
    "DEPTH_TO_SPACE": lambda tf, op, values: tf.nn.depth_to_space(values, op.options.blockSize),
}
