"""Small graphs for the preflight: good ones, and ones that each break one rule; each made once, when first wanted."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from quietcam.tflite.packing import schema

SIDE = 16


def kernel(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32))


def conv(x: tf.Tensor, outputs: int = 8) -> tf.Tensor:
    return tf.nn.relu(tf.nn.conv2d(x, kernel(3, 3, x.shape[-1], outputs), 1, "SAME") + 0.1)


def transposed(x: tf.Tensor, padding: str, stride: int, side: int) -> tf.Tensor:
    inputs = x.shape[-1]
    return tf.nn.conv2d_transpose(x, kernel(2, 2, 8, inputs), [1, side, side, 8], stride, padding)


def resized(x: tf.Tensor, side: int, method: str = "bilinear") -> tf.Tensor:
    return tf.image.resize(x, [side, side], method=method)


def aligned(x: tf.Tensor, side: int) -> tf.Tensor:
    return tf.compat.v1.image.resize_bilinear(x, [side, side], align_corners=True)


def two_heads(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """An operator that runs on the CPU, and one after it in the file that does not need its output."""
    return {"a": conv(tf.nn.leaky_relu(x, 0.2)), "b": conv(conv(x, 16), 4)}


GRAPHS: dict[str, Callable[[tf.Tensor], Any]] = {
    "good": lambda x: conv(conv(x)),
    "depth_to_space": lambda x: conv(tf.nn.depth_to_space(conv(x), 2)),
    "leaky_relu": lambda x: conv(tf.nn.leaky_relu(conv(x), 0.2)),
    "resize": lambda x: conv(resized(conv(x), 2 * SIDE, "nearest")),
    "resize_bilinear": lambda x: conv(resized(conv(x), 2 * SIDE)),
    "resize_bilinear_in_doubt": lambda x: conv(resized(conv(x), 4 * SIDE)),
    "resize_too_large": lambda x: conv(resized(conv(x), 256, "nearest")),
    "resize_in_doubt": lambda x: conv(resized(conv(x), 160, "nearest")),
    "transposed_same": lambda x: conv(transposed(conv(x), "SAME", 2, 2 * SIDE)),
    "transposed_valid": lambda x: conv(transposed(conv(x), "VALID", 2, 2 * SIDE)),
    "pool": lambda x: conv(tf.nn.max_pool2d(conv(x), 2, 2, "VALID")),
    "mean": lambda x: tf.reduce_mean(conv(x), [1, 2]),
    "pad": lambda x: conv(tf.pad(conv(x), [[0, 0], [1, 1], [1, 1], [0, 0]])),
    "concat": lambda x: conv(tf.concat([conv(x), conv(x, 16)], -1)),
    "strided_slice": lambda x: conv(conv(x)[:, ::2, ::2, :]),
    "reshape": lambda x: tf.reshape(conv(x), [1, SIDE, SIDE // 2, 16]),
    "two_heads": lambda x: two_heads(conv(x)),
    "aligned": lambda x: conv(aligned(conv(x), 32)),
    "aligned_from_a_pixel": lambda x: conv(aligned(tf.nn.avg_pool2d(conv(x), SIDE, SIDE, "VALID"), 32)),
    "tile": lambda x: conv(tf.tile(tf.nn.avg_pool2d(conv(x), SIDE, SIDE, "VALID"), [1, 8, 8, 1])),
    "softmax": lambda x: tf.nn.softmax(tf.reshape(conv(x), [1, -1])),
}
SHAPES: dict[str, list[Any]] = {"batch": [2, SIDE, SIDE, 3], "dynamic": [None, None, None, 3]}
FLOAT = ("float", "dynamic")


@functools.cache
def graph(name: str) -> bytes:
    """A `.tflite` of one of ``GRAPHS``, int8 throughout; or of a good one with a batch of 2, dynamic, or in float."""
    network = GRAPHS.get(name, GRAPHS["good"])
    shape = SHAPES.get(name, [1, SIDE, SIDE, 3])
    function = tf.function(network).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if name not in FLOAT:
        samples = np.random.default_rng(1).random((4, *shape), np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if name != "float_ends":
            converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings(action="ignore"):
        return bytes(converter.convert())


@functools.cache
def too_many_parameters(width: int = 3000) -> bytes:
    """One 1x1 convolution from ``width`` to ``width`` channels of a single pixel: 9 MB of weights."""

    def widen(model: Any, kinds: Any) -> None:
        del kinds
        subgraph = model.subgraphs[0]
        subgraph.operators = subgraph.operators[:1]
        source, weights, bias = (int(each) for each in subgraph.operators[0].inputs)
        target = int(subgraph.operators[0].outputs[0])
        subgraph.outputs = np.array([target], np.int32)
        model.signatureDefs = []
        scales = np.full(width, 0.01, np.float32)
        values = np.random.default_rng(2).integers(0, 256, width * width, np.uint8)
        for index, shape in ((source, [1, 1, 1, width]), (target, [1, 1, 1, width]), (bias, [width])):
            subgraph.tensors[index].shape = np.array(shape, np.int32)
            subgraph.tensors[index].shapeSignature = None
        subgraph.tensors[weights].shape = np.array([width, 1, 1, width], np.int32)
        subgraph.tensors[weights].quantization.scale = scales
        subgraph.tensors[weights].quantization.zeroPoint = np.zeros(width, np.int64)
        model.buffers[subgraph.tensors[weights].buffer].data = values
        model.buffers[subgraph.tensors[bias].buffer].data = np.zeros(4 * width, np.uint8)

    return edited(graph("good"), widen)


def edited(content: bytes, edit: Callable[[Any, Any], None]) -> bytes:
    """``content`` after ``edit(model, kinds)`` has changed the schema's objects of it."""
    import flatbuffers

    kinds = schema()
    model = kinds.ModelT.InitFromPackedBuf(content, 0)
    edit(model, kinds)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def package(runtime: int = 14, compiler: str = "16.0.384591198") -> bytes:
    """A program's package by libedgetpu's `executable.fbs`, as far as it is read; inside of other bytes."""
    import flatbuffers

    builder = flatbuffers.Builder(64)
    text = builder.CreateString(compiler)
    builder.StartObject(8)
    builder.PrependInt32Slot(0, runtime, 0)
    builder.PrependUOffsetTRelativeSlot(4, text, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"DWN1")
    return b"some flexbuffer " + bytes(builder.Output()) + b" its end"


def compiled(content: bytes, left: int = 0, options: bytes | None = None) -> bytes:
    """What the compiler makes of a model, as far as quietcam reads it: one custom operator, the last ``left`` kept."""

    def edit(model: Any, kinds: Any) -> None:
        code = kinds.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kinds.BuiltinOperator.CUSTOM
        code.customCode = b"edgetpu-custom-op"
        code.deprecatedBuiltinCode = kinds.BuiltinOperator.CUSTOM
        model.operatorCodes.append(code)
        subgraph = model.subgraphs[0]
        count = len(subgraph.operators) - left
        program = kinds.OperatorT()
        program.opcodeIndex = len(model.operatorCodes) - 1
        program.inputs = np.array(subgraph.inputs, np.int32)
        made = [int(each) for op in subgraph.operators[:count] for each in op.outputs]
        wanted = {int(each) for op in subgraph.operators[count:] for each in op.inputs} | set(
            map(int, subgraph.outputs)
        )
        program.outputs = np.array([each for each in made if each in wanted], np.int32)
        program.customOptions = np.frombuffer(package() if options is None else options, np.uint8)
        subgraph.operators = [program, *subgraph.operators[count:]]

    return edited(content, edit)
