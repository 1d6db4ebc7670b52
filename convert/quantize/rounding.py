"""Rounds the weights of an int8 model so that the outputs of its convolutions stay (``quietcam.rounding``).

The quantizer rounds every weight to the nearest step. Here the weights of a filter make up for each other's errors, as
far as the values that they read rise and fall together on representative frames. No scale and no operator changes.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

from quietcam.rounding import LEVELS, round_kernel
from quietcam.tflite.graph import Op, read_graph
from quietcam.tflite.measurement import Frames, tensor_runner
from quietcam.tflite.packing import pack, replace_data, unpack

__all__ = ["Kernels", "round_kernels", "stored_kernels", "write_kernels"]

Kernels = dict[str, NDArray[np.float32]]
"""Weights of convolutions, ``(outputs, height, width, inputs)``, by the name of the convolution's output."""

_READ = 24_000  # places, of all frames together, at which what a convolution reads is compared
_SAME = 0  # the schema's Padding.SAME


def round_kernels(content: bytes, frames: Frames, finished: Container[str] = ()) -> Kernels:
    """The weights of each convolution of a float model, rounded to the steps that its int8 model has.

    Depthwise, transposed and grouped convolutions are left out: int8 rounds their weights to the nearest steps.

    Args:
        content: the float model, without manifest.
        frames: frames of its size.
        finished: names of the outputs of convolutions that are left out, too.
    """
    ops = [op for op in read_graph(content).ops if _reads_all(op) and op.outputs[0].name not in finished]
    found: Kernels = {}
    for op, covariance in zip(ops, _covariances(content, ops, frames), strict=True):
        kernel = np.reshape(np.asarray(op.inputs[1].data, np.float32), op.inputs[1].shape)
        rounded = round_kernel(kernel.transpose(1, 2, 3, 0), covariance)
        found[op.outputs[0].name] = rounded.transpose(3, 0, 1, 2)
    return found


def stored_kernels(int8_content: bytes) -> Kernels:
    """The weights of the convolutions of an int8 model, as real numbers."""
    return {
        op.outputs[0].name: (
            np.reshape(np.asarray(op.inputs[1].data, np.float32), op.inputs[1].shape) * _steps(op)
        ).astype(np.float32)
        for op in read_graph(int8_content).ops
        if _reads_all(op) and op.is_int8
    }


def write_kernels(int8_content: bytes, kernels: Kernels) -> bytes:
    """The int8 model, of any size, with these weights. What it has in float stays."""
    model = unpack(int8_content)
    for op in read_graph(int8_content).ops:
        kernel = kernels.get(op.outputs[0].name)
        if kernel is not None and op.is_int8:
            codes = np.clip(np.rint(kernel / _steps(op)), -LEVELS, LEVELS).astype(np.int8)
            replace_data(model, op.inputs[1].index, codes)
    return pack(model)


def _steps(op: Op) -> NDArray[np.float64]:
    """The step of each filter of an int8 convolution, ``(outputs, 1, 1, 1)``."""
    return np.reshape(np.asarray(op.inputs[1].scales, np.float64), (-1, 1, 1, 1))


def _reads_all(op: Op) -> bool:
    """True for a convolution with constant weights, each of whose filters reads all channels."""
    return op.kind == "CONV_2D" and op.weights is not None and op.weights.shape[-1] == op.inputs[0].shape[-1]


def _covariances(content: bytes, ops: Sequence[Op], frames: Frames) -> list[NDArray[np.float64]]:
    """Of the values that one output of each convolution reads, in the order of its kernel."""
    run = tensor_runner(content, sorted({op.inputs[0].index for op in ops}))
    places = max(1, _READ // sum(1 for _ in frames()))
    sums = [np.zeros(_size(op)) for op in ops]
    squares = [np.zeros((_size(op), _size(op))) for op in ops]
    count = [0] * len(ops)
    for frame in frames():
        for index, values in run(frame):
            for number, op in enumerate(ops):
                if op.inputs[0].index == index:
                    read = _read(op, values, places)
                    sums[number] += read.sum(0, dtype=np.float64)
                    squares[number] += read.T @ read
                    count[number] += len(read)
    return [
        square / each - np.outer(total / each, total / each)
        for total, square, each in zip(sums, squares, count, strict=True)
    ]


def _size(op: Op) -> int:
    return math.prod(op.inputs[1].shape[1:])


def _read(op: Op, values: NDArray[np.float32], places: int) -> NDArray[np.float32]:
    """The values that a convolution reads at ``places`` of its outputs, or at all if there are fewer.

    Args:
        values: its input, ``(positions, channels)``.

    Returns:
        ``(places, weights of a filter)``.
    """
    kernel, options = op.inputs[1].shape[1:3], op.options
    strides = options.strideH, options.strideW
    dilations = options.dilationHFactor, options.dilationWFactor
    spans = [(side - 1) * dilation + 1 for side, dilation in zip(kernel, dilations, strict=True)]
    picture = values.reshape(op.inputs[0].shape[1:])
    if options.padding == _SAME:
        missing = [
            max((-(-size // stride) - 1) * stride + span - size, 0)
            for size, stride, span in zip(picture.shape, strides, spans, strict=False)
        ]
        picture = np.pad(picture, [*((each // 2, each - each // 2) for each in missing), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(picture, spans, (0, 1))
    windows = windows[:: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    height, width = windows.shape[:2]
    chosen = np.linspace(0, height * width - 1, min(places, height * width)).astype(int)
    read = windows[chosen // width, chosen % width].transpose(0, 2, 3, 1)
    return np.ascontiguousarray(read).reshape(len(read), -1)
