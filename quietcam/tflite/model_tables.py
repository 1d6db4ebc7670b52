"""Reads the tables of a `.tflite`, with the numbers of TensorFlow Lite's `schema.fbs`, version 3.

Model files are read only here: the outline and the graph are built from these tables. It needs neither TensorFlow nor
LiteRT.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from quietcam.errors import ModelError
from quietcam.tflite.flatbuffer import BROKEN, PLACE, TEXT, Field, FlatBuffer, Schema, Table

__all__ = ["OPERATORS", "TYPES", "damaged", "operator_kind", "read_options", "read_tables", "tensor_at", "type_name"]

_IDENTIFIER = b"TFL3"
_REMEDY = "Remedy: copy the file again, or convert the model again with `quietcam convert`."

_OPERATOR_CODE: Schema = {
    "deprecated_code": Field(0, "b"),
    "custom_code": Field(1, TEXT),
    "version": Field(2, "i", 1),
    "code": Field(3, "i"),
}
_QUANTIZATION: Schema = {
    "min": Field(0, ["f"]),
    "max": Field(1, ["f"]),
    "scale": Field(2, ["f"]),
    "zero_point": Field(3, ["q"]),
    "details": Field(5, PLACE),
}
_TENSOR: Schema = {
    "shape": Field(0, ["i"]),
    "type": Field(1, "b"),
    "buffer": Field(2, "I"),
    "name": Field(3, TEXT),
    "quantization": Field(4, _QUANTIZATION),
    "sparsity": Field(6, PLACE),
    "shape_signature": Field(7, ["i"]),
}
_OPERATOR: Schema = {
    "operator_code": Field(0, "I"),
    "inputs": Field(1, ["i"]),
    "outputs": Field(2, ["i"]),
    "options": Field(4, PLACE),
    "custom_options": Field(5, ["B"]),
    "intermediates": Field(8, ["i"]),
}
_SUBGRAPH: Schema = {
    "tensors": Field(0, [_TENSOR]),
    "inputs": Field(1, ["i"]),
    "outputs": Field(2, ["i"]),
    "operators": Field(3, [_OPERATOR]),
    "name": Field(4, TEXT),
}
_TENSOR_MAP: Schema = {"name": Field(0, TEXT)}
_SIGNATURE: Schema = {"inputs": Field(0, [_TENSOR_MAP]), "outputs": Field(1, [_TENSOR_MAP]), "key": Field(2, TEXT)}
_MODEL: Schema = {
    "version": Field(0, "I"),
    "operator_codes": Field(1, [_OPERATOR_CODE]),
    "subgraphs": Field(2, [_SUBGRAPH]),
    "description": Field(3, TEXT),
    "buffers": Field(4, [{"data": Field(0, ["B"])}]),
    "metadata_buffer": Field(5, ["i"]),
    "metadata": Field(6, [{"name": Field(0, TEXT)}]),
    "signatures": Field(7, [_SIGNATURE]),
}

# The options that are read, by operator. Windows and blocks span at least one position.
_FUSED = "fusedActivationFunction"
_STRIDES: Schema = {"padding": Field(0, "b"), "strideW": Field(1, "i"), "strideH": Field(2, "i")}
_ARITHMETIC: Schema = {_FUSED: Field(0, "b")}
_BLOCKS: Schema = {"blockSize": Field(0, "i")}
_POOL: Schema = {**_STRIDES, "filterWidth": Field(3, "i"), "filterHeight": Field(4, "i"), _FUSED: Field(5, "b")}
_OPTIONS: dict[str, Schema] = {
    "CONV_2D": {
        **_STRIDES,
        _FUSED: Field(3, "b"),
        "dilationWFactor": Field(4, "i", 1),
        "dilationHFactor": Field(5, "i", 1),
    },
    "DEPTHWISE_CONV_2D": {
        **_STRIDES,
        _FUSED: Field(4, "b"),
        "dilationWFactor": Field(5, "i", 1),
        "dilationHFactor": Field(6, "i", 1),
    },
    "TRANSPOSE_CONV": {**_STRIDES, _FUSED: Field(3, "b")},
    "MAX_POOL_2D": _POOL,
    "AVERAGE_POOL_2D": _POOL,
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV", "L2_NORMALIZATION"), _ARITHMETIC),
    "FULLY_CONNECTED": {_FUSED: Field(0, "b"), "weightsFormat": Field(1, "b")},
    "CONCATENATION": {"axis": Field(0, "i"), _FUSED: Field(1, "b")},
    "SPACE_TO_DEPTH": _BLOCKS,
    "DEPTH_TO_SPACE": _BLOCKS,
    "RESIZE_BILINEAR": {"alignCorners": Field(2, "?"), "halfPixelCenters": Field(3, "?")},
    "RESIZE_NEAREST_NEIGHBOR": {"alignCorners": Field(0, "?"), "halfPixelCenters": Field(1, "?")},
    "PACK": {"axis": Field(1, "i")},
    "STRIDED_SLICE": {
        "beginMask": Field(0, "i"),
        "endMask": Field(1, "i"),
        "ellipsisMask": Field(2, "i"),
        "newAxisMask": Field(3, "i"),
        "shrinkAxisMask": Field(4, "i"),
    },
}
_POSITIVE = ("strideW", "strideH", "filterWidth", "filterHeight", "dilationWFactor", "dilationHFactor", "blockSize")

TYPES: dict[int, tuple[str, int]] = {
    0: ("float32", 4),
    1: ("float16", 2),
    2: ("int32", 4),
    3: ("uint8", 1),
    4: ("int64", 8),
    5: ("string", 4),
    6: ("bool", 1),
    7: ("int16", 2),
    8: ("complex64", 8),
    9: ("int8", 1),
    10: ("float64", 8),
    11: ("complex128", 16),
    12: ("uint64", 8),
    13: ("resource", 4),
    14: ("variant", 4),
    15: ("uint32", 4),
    16: ("uint16", 2),
    17: ("int4", 1),
    18: ("bfloat16", 2),
    19: ("int2", 1),
    20: ("uint4", 1),
    21: ("float8_e4m3fn", 1),
    22: ("float8_e5m2", 1),
}
"""By number: the type's name (numpy's if numpy has the type), and the bytes of an element in memory, rounded up."""

_NAMES = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION
LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH
CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE
EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR
ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND
COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE
HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE
BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1
UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR
RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE
STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL
STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE
STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE
DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT
STABLEHLO_CASE
"""
OPERATORS = tuple(_NAMES.split())
"""The built-in operators in the order of their numbers."""


def read_tables(content: bytes, name: str) -> tuple[Table, FlatBuffer]:
    """The tables of a model file, checked to lie inside it, and the file, from which options can be read.

    Args:
        name: the file's name in messages.

    Raises:
        ModelError: it is not a TensorFlow Lite model, or not a complete one.
    """
    if content[4:8] != _IDENTIFIER:
        raise ModelError(
            f"{name} is not a TensorFlow Lite model. Received: {len(content)} bytes "
            f"without the identifier {_IDENTIFIER.decode()} at the start. Remedy: give a .tflite file."
        )
    file = FlatBuffer(content)
    try:
        return file.root(_MODEL), file
    except BROKEN as error:
        raise damaged(content, name) from error


def damaged(content: bytes, name: str) -> ModelError:
    """The error for a file whose contents do not form a model."""
    return ModelError(
        f"{name} is not a whole TensorFlow Lite model: it is cut short or damaged. "
        f"Received: {len(content)} bytes. {_REMEDY}"
    )


def tensor_at(tensors: Any, index: int) -> Any:
    """Tensor number ``index`` of a list.

    Raises:
        IndexError: there is no such tensor; negative numbers are not allowed.
    """
    if index < 0:
        raise IndexError(index)
    return tensors[index]


def type_name(number: int) -> str:
    """The type's name; ``type 99`` for an unknown one."""
    return TYPES[number][0] if number in TYPES else f"type {number}"


def operator_kind(code: Table) -> str:
    """The operator's name as the schema spells it; ``CUSTOM`` and its own name for a custom one."""
    number = max(code["code"], code["deprecated_code"])
    kind = OPERATORS[number] if 0 <= number < len(OPERATORS) else "UNKNOWN"
    return f"CUSTOM {code['custom_code']}" if kind == "CUSTOM" else kind


def read_options(file: FlatBuffer, kind: str, operator: Table) -> Any:
    """The options of an operator, by the names that LiteRT's schema classes give them.

    None if its options are not read here. For a custom operator: the bytes of its options.

    Raises:
        ValueError: a stride, window or block is smaller than 1, or the padding is unknown.
    """
    if len(operator["custom_options"]):
        return bytes(operator["custom_options"])
    schema = _OPTIONS.get(kind)
    if schema is None:
        return None
    place = operator["options"]
    values = {name: field.missing for name, field in schema.items()} if place is None else file.table(place, schema)
    if values.get("padding", 0) not in (0, 1) or any(values.get(name, 1) < 1 for name in _POSITIVE):
        raise ValueError(f"{kind} with options that no such operator has")
    return SimpleNamespace(**values)
