"""Makes a float model in which only one layer is quantized, to measure what that layer costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.tflite.packing import pack, schema, unpack

__all__ = ["isolate"]


def isolate(
    content: bytes,
    *,
    activation: tuple[int, float, int, str] | None = None,
    weights: Mapping[int, NDArray[np.float32]] | None = None,
) -> bytes:
    """A float model with one activation rounded to integer codes, weights replaced, or both.

    Args:
        content: a float model of one subgraph, without manifest.
        activation: number of the tensor, scale, zero point and numpy's name of the integer type. QUANTIZE and
            DEQUANTIZE are inserted after the operator that makes the tensor, and all its readers read their output.
        weights: by the number of a constant tensor, the float32 values that replace it, of the same number.

    Returns:
        The model without signatures; its inputs and outputs are those of ``content``, in the same order.
    """
    kinds = schema()
    model = unpack(content)
    subgraph = model.subgraphs[0]
    model.signatureDefs = None  # they name tensors by number, and are not used here
    for index, values in (weights or {}).items():
        buffer = kinds.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
        model.buffers.append(buffer)
        subgraph.tensors[index].buffer = len(model.buffers) - 1
    if activation is not None:
        _round_trip(model, subgraph, kinds, *activation)
    return pack(model)


def _round_trip(model: Any, subgraph: Any, kinds: Any, index: int, scale: float, zero_point: int, dtype: str) -> None:
    source = subgraph.tensors[index]
    codes = _tensor(kinds, source, getattr(kinds.TensorType, dtype.upper()), f"{index} codes")
    codes.quantization = kinds.QuantizationParametersT()
    codes.quantization.scale, codes.quantization.zeroPoint = [scale], [zero_point]
    rounded = _tensor(kinds, source, kinds.TensorType.FLOAT32, f"{index} rounded")
    first = len(subgraph.tensors)
    subgraph.tensors += [codes, rounded]
    for op in subgraph.operators:
        op.inputs = np.array([first + 1 if i == index else i for i in op.inputs], np.int32)
    subgraph.outputs = np.array([first + 1 if i == index else i for i in subgraph.outputs], np.int32)
    made_by = [place for place, op in enumerate(subgraph.operators) if index in list(op.outputs)]
    place = made_by[0] + 1 if made_by else 0
    names = kinds.BuiltinOperator
    subgraph.operators[place:place] = [
        _operator(model, kinds, names.QUANTIZE, index, first),
        _operator(model, kinds, names.DEQUANTIZE, first, first + 1),
    ]


def _tensor(kinds: Any, like: Any, dtype: int, name: str) -> Any:
    tensor = kinds.TensorT()
    tensor.shape, tensor.shapeSignature = like.shape, like.shapeSignature
    tensor.type, tensor.name, tensor.buffer = dtype, name.encode(), 0  # buffer 0 is the empty one, by convention
    return tensor


def _operator(model: Any, kinds: Any, builtin: int, source: int, target: int) -> Any:
    code = kinds.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
    code.version = 3 if builtin == kinds.BuiltinOperator.DEQUANTIZE else 2  # the first that know int16, too
    model.operatorCodes.append(code)
    op = kinds.OperatorT()
    op.opcodeIndex = len(model.operatorCodes) - 1
    op.inputs, op.outputs = np.array([source], np.int32), np.array([target], np.int32)
    return op
