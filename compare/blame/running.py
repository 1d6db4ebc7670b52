"""Runs a quantized model and its float twin on the same frames, and reads their inner tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.blame.layer_tally import LayerTally
from quietcam.blocks import depth_to_space
from quietcam.image import Image, to_float, to_uint8
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.graph import Graph, Tensor, read_graph
from quietcam.tflite.measurement import tensor_runner

__all__ = ["float_runner", "middle", "run_both"]


def run_both(
    graphs: tuple[Graph, Graph],
    contents: tuple[bytes, bytes],
    tallies: Sequence[LayerTally],
    frames: Sequence[tuple[Image, Image]],
) -> Iterator[tuple[Image, Image]]:
    """Run every frame through both models and tally all layers. Returns the outputs of both, float first."""
    ends = [graph.denoised for graph in graphs]
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


def float_runner(content: bytes) -> Callable[[Image], Image]:
    """A float model as the device would run it: picture to picture. A video network runs without history."""
    from ai_edge_litert.interpreter import Interpreter

    with native_output_caught():
        interpreter = Interpreter(model_content=content, num_threads=2)
        interpreter.allocate_tensors()
    entrances, exit_ = interpreter.get_input_details(), read_graph(content).denoised.index

    def run(noisy: Image) -> Image:
        for entrance in entrances:
            interpreter.set_tensor(entrance["index"], to_float(noisy)[None])
        interpreter.invoke()
        return to_uint8(interpreter.get_tensor(exit_)[0])

    return run


def _picture(values: NDArray[Any], end: Tensor, shape: tuple[int, ...]) -> Image:
    """A model's output as pixels; if a graph ends before depth-to-space, this is done here."""
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


def middle(picture: Image, height: int, width: int) -> Image:
    """The middle of a picture, mirrored if it is smaller than the frame."""
    missing = [max(0, side - have) for side, have in zip((height, width), picture.shape, strict=False)]
    if any(missing):
        picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), "symmetric")
    y, x = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[y : y + height, x : x + width])
