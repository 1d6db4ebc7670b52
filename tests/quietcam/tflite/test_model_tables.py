"""The numbers of the model format against LiteRT's generated classes."""

from __future__ import annotations

import pytest

from quietcam.tflite.flatbuffer import FlatBuffer
from quietcam.tflite.model_tables import _OPTIONS, OPERATORS, TYPES, type_name

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")


def named(enumeration: type) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if not name.startswith("_")}


def test_operators_have_the_numbers_of_the_schema() -> None:
    numbers = named(schema.BuiltinOperator)
    assert [numbers[number] for number in range(len(OPERATORS))] == list(OPERATORS)


def test_types_have_the_numbers_of_the_schema() -> None:
    numbers = named(schema.TensorType)
    assert {number: name for number, (name, _) in TYPES.items()} == {n: numbers[n].lower() for n in TYPES}
    assert type_name(99) == "type 99"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("CONV_2D", "Conv2DOptions"),
        ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"),
        ("TRANSPOSE_CONV", "TransposeConvOptions"),
        ("MAX_POOL_2D", "Pool2DOptions"),
        ("ADD", "AddOptions"),
        ("SUB", "SubOptions"),
        ("MUL", "MulOptions"),
        ("DIV", "DivOptions"),
        ("L2_NORMALIZATION", "L2NormOptions"),
        ("FULLY_CONNECTED", "FullyConnectedOptions"),
        ("CONCATENATION", "ConcatenationOptions"),
        ("SPACE_TO_DEPTH", "SpaceToDepthOptions"),
        ("DEPTH_TO_SPACE", "DepthToSpaceOptions"),
        ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
        ("PACK", "PackOptions"),
        ("STRIDED_SLICE", "StridedSliceOptions"),
    ],
)
def test_options_stand_where_the_schema_writes_them(kind: str, options: str) -> None:
    """Each option alone is written as 1 more than its default, and read back at the same place."""
    import flatbuffers

    for name, field in _OPTIONS[kind].items():
        written = getattr(schema, f"{options}T")()
        setattr(written, name, field.default + 1)
        builder = flatbuffers.Builder(64)
        builder.Finish(written.Pack(builder))
        read = FlatBuffer(bytes(builder.Output())).root(_OPTIONS[kind])
        assert {n: v for n, v in read.items() if v != _OPTIONS[kind][n].default} == {name: field.default + 1}
