"""Runs a model over frames and measures the values of each tensor."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import ModelError
from quietcam.process.native_output import native_output_caught
from quietcam.tflite.activations import MIDDLE, Activation
from quietcam.tflite.graph import Graph, read_graph
from quietcam.tflite.outline import end_names
from quietcam.tflite.tensorflow_errors import explain

__all__ = ["Frames", "measure_activations", "tensor_runner"]

Frames = Callable[[], Iterable[NDArray[np.float32]]]
"""Returns an iterator of float32 ``[1, H, W, C]`` in [0, 1], or ``[2, H, W, C]``: a noisy frame, then its history.

Each call starts from the first frame. For a video network, a frame without history is its own history."""

_BINS = 1 << 14
_CHANNEL_BINS = 1 << 11
_SAMPLES = 4096  # positions per frame that are sampled for percentiles of channels


def measure_activations(content: bytes, frames: Frames) -> dict[str, Activation]:
    """Measure every activation that an operator outputs, by its tensor's name, in the order of the graph.

    Args:
        content: a float model of one subgraph, without manifest.
        frames: called twice; must return frames of that model's size.
    """
    graph = read_graph(content)
    made = {each.index: (each.name, op.kind) for op in graph.ops for each in op.outputs}
    gains = _gains(graph)
    run = tensor_runner(content, list(made))
    low: dict[int, NDArray[np.float64]] = {}
    high: dict[int, NDArray[np.float64]] = {}
    for frame in frames():
        for index, values in run(frame):
            least, greatest = values.min(0).astype(float), values.max(0).astype(float)
            low[index] = np.minimum(low[index], least) if index in low else least
            high[index] = np.maximum(high[index], greatest) if index in high else greatest
    counts = {index: np.zeros(_BINS, np.int64) for index in made}
    channel_counts = {index: np.zeros((len(low[index]), _CHANNEL_BINS), np.int64) for index in made}
    for frame in frames():
        for index, values in run(frame):
            counts[index] += _binned(values.ravel(), low[index].min(), high[index].max(), _BINS)
            some = values[:: max(1, len(values) // _SAMPLES)]
            for channel, column in enumerate(some.T):
                span = low[index][channel], high[index][channel]
                channel_counts[index][channel] += _binned(column, *span, _CHANNEL_BINS)
    return {
        name: Activation(
            index,
            name,
            op,
            float(low[index].min()),
            float(high[index].max()),
            counts[index],
            low[index],
            high[index],
            np.array([_middle(*each) for each in zip(channel_counts[index], low[index], high[index], strict=True)]),
            gains[index],
        )
        for index, (name, op) in made.items()
    }


def _gains(graph: Graph) -> dict[int, NDArray[np.float64]]:
    """For each channel, by tensor number, the sum of squared weights of all convolutions that read it.

    Operators between a tensor and a convolution, such as ADD, RELU or a resize, keep channels separate and pass weights
    on. If no convolution follows, or channels are mixed, all channels count equally.
    """
    found: dict[int, NDArray[np.float64]] = {}
    for op in reversed(graph.ops):
        out = op.outputs[0]
        behind = found.get(out.index)
        for each in op.inputs:
            if each.is_constant or not each.shape:
                continue
            channels = each.shape[-1]
            if op.weights is not None:
                squares = np.square(np.asarray(op.weights.data, np.float64).reshape(op.weights.shape))
                gain = squares.reshape(-1, channels).sum(0)
            elif behind is not None and len(behind) == channels:
                gain = behind
            else:
                gain = np.full(channels, 1.0 if behind is None else behind.mean())
            found[each.index] = found.get(each.index, np.zeros(channels)) + gain
    for each in graph.outputs:
        found.setdefault(each.index, np.ones(each.shape[-1]))
    return {each.index: np.ones(1) for op in graph.ops for each in op.outputs if not each.shape} | found


def tensor_runner(
    content: bytes, indices: list[int]
) -> Callable[[NDArray[np.float32]], Iterator[tuple[int, NDArray[Any]]]]:
    """A function that runs a frame and yields ``(index, (positions, channels))`` for each tensor; none is overwritten.

    The frame is one of ``Frames``, float32 in [0, 1], also for a model with int8 or uint8 ends. Values have the
    tensor's own type.

    Raises:
        ModelError: LiteRT cannot run the model, or the names of its inputs do not tell noisy from history.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        with native_output_caught(show=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that keeping every tensor needs memory
            interpreter = Interpreter(
                model_content=content,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise _not_run(error) from error
    entrances = interpreter.get_input_details()
    names = end_names((), [each["name"] for each in entrances], "noisy")
    if names is None:
        raise ModelError(
            "A model with several inputs must name them noisy and history. Received: inputs named "
            f"{', '.join(each['name'] for each in entrances)}. Remedy: convert the Keras model again with "
            "`quietcam convert`."
        )
    zero = {np.int8: -128, np.uint8: 0}.get(entrances[0]["dtype"])

    def run(frame: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[Any]]]:
        given = frame if zero is None else (np.rint(frame * 255) + zero).astype(entrances[0]["dtype"])
        for name, entrance in zip(names, entrances, strict=True):
            interpreter.set_tensor(entrance["index"], given[:1] if name == "noisy" else given[-1:])
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise _not_run(error) from error
        for index in indices:
            values = interpreter.get_tensor(index)
            yield index, values.reshape(-1, values.shape[-1] if values.ndim else 1)

    return run


def _not_run(error: Exception) -> ModelError:
    return ModelError(
        f"LiteRT must run the model. Received: {explain(error)}. Remedy: convert a network of layers that TFLite knows."
    )


def _binned(values: NDArray[np.float32], low: float, high: float, bins: int) -> NDArray[np.int64]:
    """A histogram over equal bins from ``low`` to ``high``; several times faster than numpy's own."""
    if not high > low:
        return np.zeros(bins, np.int64)
    places = ((values - np.float32(low)) * np.float32(bins / (high - low))).astype(np.int32)
    return np.bincount(np.clip(places, 0, bins - 1), minlength=bins)


def _middle(counts: NDArray[np.int64], low: float, high: float) -> float:
    """Width of the middle 99.9 % of the values counted between ``low`` and ``high``, extended to include zero."""
    if not high > low or not counts.any():
        return 0.0
    below = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    edges = np.linspace(low, high, len(counts) + 1)
    tail = (1 - MIDDLE) / 2
    first, last = np.interp([tail, 1 - tail], below, edges)
    return float(max(last, 0.0) - min(first, 0.0))
