"""Writes the small models for the tests of the runtime: ``python tests/edge/make_models.py tests/edge/models``.

They lie in the repository, so that the tests run on a device, where there is no TensorFlow.

The good ones compute y = clip(x + conv3x3(x), 0, 1) in blocks of 2x2 pixels (space-to-depth), with the weights in
`weights.npz`; the split ones end one operator earlier, in blocks. The compiled ones are what the Edge TPU's compiler
makes of a graph, as far as the runtime sees it: one custom operator from end to end. The bad ones each break one rule.

The video ones are the smallest video networks of the family (`train.model`), with the weights in `video_weights.npz`,
and with ranges that are fixed, not found. Inputs and outputs are in another order than usual.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf_keras as keras

from quietcam.architecture import Architecture
from train.model import build

BLOCK = 2
VIDEO = Architecture(widths=(8,), depths=(1,), history=1)
GAINS = {"differ": 20.0, "share": 0.3, "down0_0": 1.0, "residual": 0.1}


def main(folder: Path) -> None:
    rng = np.random.default_rng(7)
    kernels = {c: rng.normal(0, 0.01, (3, 3, BLOCK**2 * c, BLOCK**2 * c)).astype(np.float32) for c in (1, 3)}
    np.savez(folder / "weights.npz", channels1=kernels[1], channels3=kernels[3])

    def split(x: tf.Tensor) -> tf.Tensor:
        blocks = tf.nn.space_to_depth(x, BLOCK)
        residual = tf.nn.conv2d(blocks, kernels[x.shape[-1]], 1, "SAME")
        return tf.minimum(tf.nn.relu(blocks + residual), 1.0)

    def network(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(split(x), BLOCK)

    def quantized(
        shape: list[int],
        ends: tf.DType = tf.int8,
        brightest: float = 1.0,
        graph: Callable[[tf.Tensor], tf.Tensor] = network,
    ) -> bytes:
        return convert(graph, shape, samples=representative(shape) * np.float32(brightest), ends=ends)

    models = {
        "small_32x32_int8": quantized([1, 32, 32, 3]),
        "small_32x32_float32": convert(network, [1, 32, 32, 3]),
        "small_80x64_int8": quantized([1, 64, 80, 3]),
        "small_32x32_uint8": quantized([1, 32, 32, 3], tf.uint8),
        "batch_32x32_float32": convert(network, [None, 32, 32, 3]),
        "gray_32x32_int8": quantized([1, 32, 32, 1]),
        "split_32x32_int8": quantized([1, 32, 32, 3], graph=split),
        "split_80x64_int8": quantized([1, 64, 80, 3], graph=split),
        "split_gray_32x32_int8": quantized([1, 32, 32, 1], graph=split),
        "split_32x32_float32": convert(split, [1, 32, 32, 3]),
        "small_32x32_int8_edgetpu": compiled(quantized([1, 32, 32, 3])),
        "split_32x32_int8_edgetpu": compiled(quantized([1, 32, 32, 3], graph=split)),
        "bad_dynamic": convert(network, [1, None, None, 3]),
        "bad_batch": convert(network, [2, 32, 32, 3]),
        "bad_channels": convert(lambda x: x + tf.abs(x), [1, 32, 32, 4]),
        "bad_rank": convert(lambda x: x + tf.abs(x), [32, 32, 3]),
        "bad_scale": quantized([1, 32, 32, 3], brightest=0.5),
        "bad_sizes": convert(lambda x: network(x)[:, :16], [1, 32, 32, 3]),
        "bad_inputs": convert(lambda x, y: x + tf.abs(y), [1, 32, 32, 3], inputs=2),
        "bad_outputs": convert(lambda x: (network(x), tf.abs(x)), [1, 32, 32, 3]),
    }
    weights = video_weights(VIDEO)
    np.savez(folder / "video_weights.npz", **weights)  # type: ignore[arg-type]
    models |= {
        "video_64x64_int8": video(64, 64),
        "video_112x88_int8": video(88, 112),
        "video_64x64_float32": video(64, 64, "float32"),
        "video_64x64_uint8": video(64, 64, "uint8"),
        "video_one_64x64_int8": video(64, 64, outputs=("denoised",)),
        "video_gray_64x64_int8": video(64, 64, channels=1),
        "video_split_64x64_int8": video(64, 64, tail="blocks"),
        "video_split_one_64x64_int8": video(64, 64, outputs=("denoised",), tail="blocks"),
        "video_64x64_int8_edgetpu": compiled(video(64, 64)),
        "bad_three_inputs": convert(lambda x, y, z: x + tf.abs(y) + z, [1, 32, 32, 3], inputs=3),
    }
    for name, model in models.items():
        (folder / f"{name}.tflite").write_bytes(model)


def representative(shape: list[int]) -> np.ndarray:
    """The same squares of dots on black for every size, so that models of all sizes get the same scales."""
    samples = np.zeros((16, *shape), np.float32)
    samples[:, 0, 4:28, 4:28] = np.random.default_rng(0).integers(0, 2, (16, 24, 24, shape[-1]))
    return samples


def convert(
    network: Callable[..., object],
    shape: Sequence[int | None],
    inputs: int = 1,
    samples: np.ndarray | None = None,
    ends: tf.DType | None = None,
) -> bytes:
    """A `.tflite`; full int8 if there are representative samples."""
    function = tf.function(network).get_concrete_function(*[tf.TensorSpec(shape, tf.float32)] * inputs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = ends
    return bytes(converter.convert())


def video_weights(architecture: Architecture) -> dict[str, np.ndarray]:
    """Seeded kernels and biases of a video network, by name, in few digits."""
    rng = np.random.default_rng(11)
    found = {}
    for each in architecture.convolutions():
        shape = each.kernel, each.kernel, each.inputs, each.outputs
        spread = GAINS.get(each.name, 1.0) * np.sqrt(2 / np.prod(shape[:-1]))
        found[f"{each.name}_kernel"] = rng.normal(0, spread, shape).astype(np.float16)
        bias = 0.4 if each.name == "share" else 0.0
        found[f"{each.name}_bias"] = (bias + rng.normal(0, 0.02, each.outputs)).astype(np.float16)
    return found


def video(
    height: int,
    width: int,
    ends: str = "int8",
    *,
    channels: int = 3,
    outputs: Sequence[str] = ("history", "denoised"),
    tail: str | None = None,
) -> bytes:
    """A video network as a `.tflite`; with ``tail``, `denoised` is in blocks."""
    architecture = dataclasses.replace(VIDEO, channels=channels)
    model = build(architecture) if ends == "float32" else build(architecture, wrap, entrance=ranged)
    weights = video_weights(architecture)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([weights[f"{layer.name}_{part}"].astype(np.float32) for part in ("kernel", "bias")])
    if tail:
        before = next(layer for layer in reversed(model.layers) if "depth_to_space" in layer.name).input
        model = keras.Model(model.inputs, [before, model.outputs[1]])

    def network(history: tf.Tensor, noisy: tf.Tensor) -> list[tf.Tensor]:
        given = dict(zip(("denoised", "history"), model([noisy, history]), strict=True))
        return [given[name] for name in outputs]

    specs = [tf.TensorSpec([1, height, width, channels], tf.float32, name=name) for name in ("history", "noisy")]
    function = tf.function(network).get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if ends != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(ends)
    return named(bytes(converter.convert()), ("history", "noisy"), outputs)


RANGES = {"difference": (-128 / 255, 127 / 255), "change": (-128 / 255, 127 / 255), "residual": (-0.5, 0.5)}


def wrap(layer: keras.layers.Layer) -> Callable[[tf.Tensor], tf.Tensor]:
    """A layer with a range. The clips to [0, 1] go: a range of [0, 1] does the same."""
    return (lambda x: x) if layer.name in ("share_clip", "clip") else lambda x: ranged(layer(x))


def ranged(x: tf.Tensor) -> tf.Tensor:
    """``x`` with the range that its layer is to have: that of ReLU6, of a signed difference, or of pixels."""
    layer = x.node.layer.name
    low, high = RANGES.get(layer, (0.0, 6.0) if layer.endswith("_relu") else (0.0, 1.0))
    return tf.quantization.fake_quant_with_min_max_args(x, low, high)


def named(content: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The model with names for the tensors at its ends."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    for index, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
        graph.tensors[index].name = name.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def compiled(content: bytes) -> bytes:
    """The model with all operators in one custom operator."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    first = graph.operators[0]
    code = model.operatorCodes[first.opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = 32  # CUSTOM
    code.customCode, code.version = b"edgetpu-custom-op", 1
    first.inputs, first.outputs = graph.inputs, graph.outputs
    first.builtinOptionsType, first.builtinOptions = 0, None
    first.opcodeIndex, model.operatorCodes = 0, [code]
    graph.operators = [first]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
