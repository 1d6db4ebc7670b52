"""The outline of a model file against what the interpreter says, and damaged files."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.flatbuffer import read_outline
from quietcam.errors import ModelError

NAMES = (
    "small_32x32_int8",
    "small_80x64_int8",
    "small_32x32_float32",
    "gray_32x32_int8",
    "bad_dynamic",
    "small_32x32_uint8",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_outline_is_what_the_interpreter_says(models: Path, name: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    path = models / f"{name}.tflite"
    interpreter = litert.Interpreter(str(path))
    outline = read_outline(path.read_bytes(), name)
    assert outline.subgraphs == 1
    for ends, details in (
        (outline.inputs, interpreter.get_input_details()),
        (outline.outputs, interpreter.get_output_details()),
    ):
        for end, detail in zip(ends, details, strict=True):
            assert end.name == detail["name"]
            assert end.shape == tuple(detail["shape_signature"])
            assert end.dtype == detail["dtype"].__name__
            scale, zero_point = detail["quantization"]
            if end.quantization is None:
                assert scale == 0 or zero_point > 127 or end.dtype == "uint8"
            else:
                assert (end.quantization.scale, end.quantization.zero_point) == (scale, zero_point)


def test_inputs_and_outputs_are_counted(models: Path) -> None:
    assert len(read_outline((models / "bad_inputs.tflite").read_bytes(), "two").inputs) == 2
    assert len(read_outline((models / "bad_outputs.tflite").read_bytes(), "two").outputs) == 2


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_32x32_float32"])
def test_a_file_cut_short_anywhere_is_refused(models: Path, name: str) -> None:
    content = (models / f"{name}.tflite").read_bytes()
    for length in range(len(content)):
        with pytest.raises(ModelError, match="not a"):
            read_outline(content[:length], "cut.tflite")


def test_what_is_appended_is_not_looked_at(models: Path) -> None:
    content = (models / "small_32x32_int8.tflite").read_bytes()
    assert read_outline(content + b"PK\x03\x04 and more", "zip") == read_outline(content, "plain")


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    for content in (noise, noise[:4] + b"TFL3" + noise[4:]):
        with pytest.raises(ModelError):
            read_outline(content, "noise")


@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_but_never_crashes(models: Path, data: st.DataObject) -> None:
    content = bytearray((models / "small_32x32_int8.tflite").read_bytes())
    for place in data.draw(st.lists(st.integers(8, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelError):
        assert read_outline(bytes(content), "damaged").subgraphs >= 1
