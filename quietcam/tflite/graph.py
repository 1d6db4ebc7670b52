"""Reads a `.tflite`: its operators with types and versions, their cost, and the share of int8.

It needs neither TensorFlow nor LiteRT, so it also runs on a device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import ModelError
from quietcam.tflite.flatbuffer import BROKEN, FlatBuffer, Table
from quietcam.tflite.model_tables import damaged, operator_kind, read_options, read_tables, tensor_at, type_name
from quietcam.tflite.outline import end_names

__all__ = ["Graph", "Op", "Tensor", "cuts", "joins", "pads", "read_graph"]

_NUMPY_TYPES = {
    "float32": "<f4",
    "float16": "<f2",
    "int8": "i1",
    "uint8": "u1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
}

# The index of an operator's weights among its inputs; a bias, if there is one, has a later index.
_WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}

# These cut pictures and join them: how many rows they have tells nothing of how many pixels one spans.
_CUTTING = ("CONCATENATION", "PAD", "PADV2", "MIRROR_PAD", "SLICE")


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        index: its number in the file.
        shape: the dimensions; -1 for a dynamic one.
        dtype: numpy's name of the type.
        scales: one for the tensor, or one for each channel; empty if it is not quantized.
        data: the values of a constant; None for an activation.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    data: NDArray[Any] | None

    @property
    def is_constant(self) -> bool:
        """True if its values are stored in the file and not computed."""
        return self.data is not None

    @property
    def size(self) -> int:
        """Number of elements; a dynamic dimension, such as the batch, counts as one."""
        return math.prod(abs(side) for side in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Op:
    """One operator: its kind as the schema spells it, its version, its inputs and outputs.

    ``options`` has attributes with the names of LiteRT's classes such as ``Conv2DOptionsT``; for a custom operator it
    is bytes. None for operators whose options are not read (``quietcam.tflite.model_tables``).
    """

    kind: str
    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any = field(default=None, compare=False)

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """The computed tensors: inputs that are not constants, and outputs."""
        return tuple(each for each in self.inputs if not each.is_constant) + self.outputs

    @property
    def is_int8(self) -> bool:
        """True if all activations are int8, and all constants int8 or int32 (biases and sizes)."""
        constants = (each for each in self.inputs if each.is_constant)
        return all(each.dtype == "int8" for each in self.activations) and all(
            each.dtype in ("int8", "int32") for each in constants
        )

    @property
    def weights(self) -> Tensor | None:
        """The constant weights of a convolution or a fully connected layer."""
        place = _WEIGHTS.get(self.kind)
        found = self.inputs[place] if place is not None and place < len(self.inputs) else None
        return found if found is not None and found.is_constant else None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run, from the shapes; 0 except for convolutions and fully connected layers."""
        weights = self.weights
        if weights is None:
            return 0
        out = self.outputs[0].size
        if self.kind == "DEPTHWISE_CONV_2D":
            return out * weights.shape[1] * weights.shape[2]
        if self.kind == "TRANSPOSE_CONV":  # each input pixel is multiplied by every weight of its channel
            _, height, width, _ = self.inputs[2].shape
            return height * width * weights.size
        return out * math.prod(weights.shape[1:])


@dataclass(frozen=True)
class Graph:
    """The operators of a model in order, and its inputs and outputs."""

    ops: tuple[Op, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]

    @property
    def noisy(self) -> Tensor:
        """The input that takes the noisy frame: the one of that name, or else the first."""
        return _named("noisy", "noisy", self.inputs) or self.inputs[0]

    @property
    def history(self) -> Tensor | None:
        """The input of a video network that takes what it remembers; None for a still network."""
        return _named("history", "noisy", self.inputs)

    @property
    def denoised(self) -> Tensor:
        """The output that gives the picture: the one of that name, or else the first."""
        return _named("denoised", "denoised", self.outputs) or self.outputs[0]

    @property
    def remembered(self) -> Tensor | None:
        """The output that a video network takes as history with the next frame; None for a still network."""
        if self.history is None:
            return None
        return _named("history", "denoised", self.outputs) or self.denoised

    @property
    def is_float(self) -> bool:
        """True if all weights are float32. The types of inputs and outputs do not show that."""
        return all(op.weights is None or op.weights.dtype == "float32" for op in self.ops)

    @property
    def int8_share(self) -> float:
        """Share of the operators that are fully int8, 0 to 1."""
        return sum(op.is_int8 for op in self.ops) / len(self.ops) if self.ops else 0.0

    @property
    def is_static(self) -> bool:
        """True if every tensor has a known shape."""
        return all(side >= 0 for tensor in self.tensors for side in tensor.shape)

    @cached_property
    def parameters(self) -> int:
        """Number of weights and biases; each is counted once, even if several operators use it."""
        found = {
            each.index: each.size
            for op in self.ops
            if op.weights is not None
            for each in op.inputs[_WEIGHTS[op.kind] :]
            if each.is_constant
        }
        return sum(found.values())

    @cached_property
    def sparsity(self) -> float:
        """Share of zeros among all weights (without biases), 0 to 1."""
        found = {op.weights.index: op.weights for op in self.ops if op.weights is not None}
        total = sum(each.size for each in found.values())
        return sum(int(np.sum(_data(each) == _zero(each))) for each in found.values()) / total if total else 0.0

    @property
    def gmacs(self) -> float:
        """Multiply-accumulates of one run at the model's own size, in 1e9."""
        return sum(op.macs for op in self.ops) / 1e9

    @property
    def gmacs_256(self) -> float:
        """The same for 256x256 pixels. What a border adds to a side does not grow with the frame."""
        _, height, width, _ = self.noisy.shape
        found = 0.0
        for op in (each for each in self.ops if each.macs):
            place = op.inputs[2] if op.kind == "TRANSPOSE_CONV" else op.outputs[0]  # where each position has its cost
            span = self._spans.get(place.index, 0.0)
            if span > 0 and len(place.shape) == 4 and min(place.shape[1:3]) > 0:
                rows, columns = place.shape[1:3]
                found += op.macs * (1 + (256 - height) / (span * rows)) * (1 + (256 - width) / (span * columns))
            else:
                found += op.macs * 256 * 256 / (height * width)
        return found / 1e9

    @property
    def stride(self) -> int:
        """Total stride: how many pixels one position of the coarsest tensor spans."""
        return round(max(self._spans.values(), default=1))

    @cached_property
    def _spans(self) -> dict[int, float]:
        """How many pixels one position of each computed tensor spans, by the tensor's index."""
        spans = {each.index: 1.0 for each in self.inputs}
        for op in self.ops:
            read = [each for each in op.inputs if each.index in spans]
            for each in op.outputs if read else ():
                spans[each.index] = max(spans[one.index] for one in read) * _shrinks(op, read[0], each)
        return spans

    def table(self) -> list[dict[str, Any]]:
        """One row per operator, plain values for JSON."""
        return [
            {
                "op": op.kind,
                "version": op.version,
                "inputs": [str(each) for each in op.inputs],
                "outputs": [str(each) for each in op.outputs],
                "int8": op.is_int8,
                "macs": op.macs,
            }
            for op in self.ops
        ]


def read_graph(content: bytes, name: str = "The model") -> Graph:
    """The graph of a model file's ``content``; messages call the file ``name``.

    Raises:
        ModelError: it is not a complete TensorFlow Lite model, or has several subgraphs.
    """
    model, file = read_tables(content, name)
    if len(model["subgraphs"]) != 1:
        raise ModelError(f"A model must have one subgraph. Received: {name} with {len(model['subgraphs'])}.")
    subgraph = model["subgraphs"][0]
    try:
        buffers = [each["data"] for each in model["buffers"]]
        tensors = tuple(_tensor(index, each, buffers) for index, each in enumerate(subgraph["tensors"]))
        return Graph(
            tuple(_ops(file, subgraph, model["operator_codes"], tensors)),
            tuple(tensor_at(tensors, index) for index in subgraph["inputs"]),
            tuple(tensor_at(tensors, index) for index in subgraph["outputs"]),
            tensors,
        )
    except BROKEN as error:
        raise damaged(content, name) from error


def cuts(op: Op) -> tuple[slice, ...] | None:
    """The slice of each axis that a STRIDED_SLICE keeps, so written that it holds for pictures of any size.

    An end at the far side is None, and one that is counted from there is negative. None if the operator does more than
    cut: it has steps, drops or adds axes, or its places are computed.
    """
    options, (data, *places) = op.options, op.inputs
    if op.kind != "STRIDED_SLICE" or len(places) != 3 or any(each.data is None for each in places):
        return None
    if options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask:
        return None
    begins, ends, steps = (each.data.tolist() for each in places if each.data is not None)
    if set(steps) != {1} or len(begins) != len(data.shape):
        return None
    found = []
    for axis, side in enumerate(data.shape):
        begin = 0 if options.beginMask >> axis & 1 else begins[axis]
        end = None if options.endMask >> axis & 1 or ends[axis] >= side else ends[axis]
        found.append(slice(begin, end))
    return tuple(found)


def joins(op: Op) -> int | None:
    """The axis along which a CONCATENATION joins pictures, from 0; None for another operator."""
    if op.kind != "CONCATENATION":
        return None
    axis = int(op.options.axis)
    return axis % len(op.outputs[0].shape)


def pads(op: Op) -> list[tuple[int, int]] | None:
    """How many zeros a PAD adds before and after, for each axis; None for another operator, or if they are computed."""
    if op.kind != "PAD" or op.inputs[1].data is None:
        return None
    return [(int(before), int(after)) for before, after in op.inputs[1].data.reshape(-1, 2)]


def _shrinks(op: Op, before: Tensor, after: Tensor) -> float:
    """How many rows of ``before`` one row of ``after`` spans."""
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D"):
        return float(op.options.strideH)
    if op.kind == "TRANSPOSE_CONV":
        return 1.0 / float(op.options.strideH)
    if op.kind == "STRIDED_SLICE" and op.inputs[-1].data is not None and op.inputs[-1].size == len(after.shape) == 4:
        return float(abs(op.inputs[-1].data[1]))
    if (
        op.kind in _CUTTING
        or len(before.shape) != 4
        or len(after.shape) != 4
        or min(before.shape[1], after.shape[1]) < 1
    ):
        return 1.0
    return before.shape[1] / after.shape[1]


def _named(name: str, first: str, ends: tuple[Tensor, ...]) -> Tensor | None:
    """The end of that name, by the tensors' names; None if there is none, or if the names do not tell all ends."""
    names = end_names((), [each.name for each in ends], first) or ()
    return ends[names.index(name)] if name in names else None


def _ops(file: FlatBuffer, subgraph: Table, codes: list[Table], tensors: tuple[Tensor, ...]) -> Iterator[Op]:
    unpacked: dict[int, Tensor] = {}  # float16 weights pass through a DEQUANTIZE to their operator
    for each in subgraph["operators"]:
        code = codes[each["operator_code"]]
        kind = operator_kind(code)
        # An omitted optional input has number -1.
        inputs = tuple(unpacked.get(i) or tensor_at(tensors, i) for i in each["inputs"] if i != -1)
        outputs = tuple(tensor_at(tensors, i) for i in each["outputs"])
        if kind == "DEQUANTIZE" and inputs[0].is_constant:
            unpacked[outputs[0].index] = inputs[0]
        op = Op(kind, code["version"], inputs, outputs, read_options(file, kind, each))
        _check_shapes(op)
        yield op


def _check_shapes(op: Op) -> None:
    """Refuse an operator whose weights have impossible shapes, since its cost could not be calculated."""
    weights = op.weights
    if weights is None:
        return
    if not op.outputs or len(weights.shape) != (2 if op.kind == "FULLY_CONNECTED" else 4):
        raise ValueError(f"{op.kind} with weights {weights} and {len(op.outputs)} outputs")
    if op.kind == "TRANSPOSE_CONV" and len(op.inputs[2].shape) != 4:
        raise ValueError(f"{op.kind} of {op.inputs[2]}")


def _tensor(index: int, stored: Table, buffers: list[Any]) -> Tensor:
    dtype = type_name(stored["type"])
    raw = buffers[stored["buffer"]] if stored["buffer"] < len(buffers) else ()
    quantization = stored["quantization"] or {"scale": (), "zero_point": ()}
    return Tensor(
        index=index,
        name=stored["name"],
        shape=stored["shape_signature"] or stored["shape"],
        dtype=dtype,
        scales=quantization["scale"],
        zero_points=quantization["zero_point"],
        data=_values(raw, dtype, stored) if len(raw) else None,
    )


def _values(raw: Any, dtype: str, stored: Table) -> NDArray[Any]:
    """The values of a constant; its bytes if it is packed, sparse, or of a type that numpy lacks."""
    if dtype not in _NUMPY_TYPES or stored["sparsity"] is not None:
        return np.frombuffer(raw, np.uint8)
    values = np.frombuffer(raw, _NUMPY_TYPES[dtype])
    if values.size != math.prod(stored["shape"]):
        raise ValueError(f"{values.size} values for a shape of {list(stored['shape'])}")
    return values


def _data(tensor: Tensor) -> NDArray[Any]:
    assert tensor.data is not None
    return tensor.data


def _zero(tensor: Tensor) -> int:
    """The stored value that means zero. int8 weights are symmetric; old uint8 models have a zero point."""
    return tensor.zero_points[0] if len(tensor.zero_points) == 1 else 0
