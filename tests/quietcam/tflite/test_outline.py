"""The outline of a model file against what the interpreter says, and damaged files."""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.errors import ModelError
from quietcam.tflite import outline as flatbuffer
from quietcam.tflite.outline import read_outline

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


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_80x64_int8", "gray_32x32_int8"])
def test_the_arena_is_what_lives_at_once(models: Path, name: str) -> None:
    """The widest place is the ADD: two tensors go in and one comes out, each of the picture's bytes."""
    height, width, channels = (64, 80, 3) if "80" in name else (32, 32, 1 if "gray" in name else 3)
    picture = height * width * channels
    assert read_outline((models / f"{name}.tflite").read_bytes(), name).arena == 3 * picture


def test_a_small_file_that_claims_endless_tables_is_refused_at_once() -> None:
    """2,000 subgraphs that are one, of 2,000 tensors that are one: 32 kB, and four million tables to walk."""
    count = 2000
    content = bytearray(struct.pack("<I4s", 8 + 12, b"TFL3"))
    content += struct.pack("<6H", 10, 8, 0, 0, 4, 0)  # what of a model is where: its subgraphs at 4
    content += struct.pack("<iI", 12, 4)  # the model: its subgraphs follow
    start, size = len(content) + 4, 4 * count
    content += struct.pack("<I", count)
    subgraph = start + size + 6 + 2
    content += b"".join(struct.pack("<I", subgraph - (start + 4 * i)) for i in range(count))
    content += struct.pack("<4H", 6, 8, 4, 0)  # what of a subgraph is where: its tensors at 4
    assert len(content) == subgraph
    content += struct.pack("<iII", 8, 4, count)
    start = len(content)
    tensor = start + size + 4
    content += b"".join(struct.pack("<I", tensor - (start + 4 * i)) for i in range(count))
    content += struct.pack("<2Hi", 4, 4, 4)
    with mock.patch("quietcam.tflite.outline._MOST_TABLES", 1 << 30), pytest.raises(_WalkedError), _counting(50_000):
        read_outline(bytes(content), "bomb")
    with pytest.raises(ModelError, match="damaged"), _counting(200_000):
        read_outline(bytes(content), "bomb")


class _WalkedError(Exception):
    """Too much."""


@contextlib.contextmanager
def _counting(most: int) -> Iterator[None]:
    """No more than ``most`` tables are read."""
    read, counts = flatbuffer._Reader.table, itertools.count()

    def counted(*words: object) -> object:
        if next(counts) > most:
            raise _WalkedError
        return read(*words)  # type: ignore[arg-type]

    with mock.patch.object(flatbuffer._Reader, "table", counted):
        yield
