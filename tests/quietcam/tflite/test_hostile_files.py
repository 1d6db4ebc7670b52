"""Damaged and hostile model files: whatever reads them refuses them in one line, soon, and never crashes."""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.errors import ModelError
from quietcam.tflite.flatbuffer import FlatBuffer
from quietcam.tflite.graph import read_graph
from quietcam.tflite.outline import read_outline

Reader = Callable[[bytes, str], object]


def read_graph_and_look(content: bytes, name: str) -> object:
    """The graph, and what conversion asks of it first."""
    graph = read_graph(content, name)
    return graph.table(), graph.parameters, graph.sparsity, graph.int8_share


readers = pytest.mark.parametrize("read", [read_outline, read_graph_and_look])


@readers
@pytest.mark.parametrize("name", ["small_32x32_int8", "small_32x32_float32"])
def test_a_file_cut_short_anywhere_is_refused(models: Path, name: str, read: Reader) -> None:
    content = (models / f"{name}.tflite").read_bytes()
    for length in range(len(content)):
        with pytest.raises(ModelError, match="not a"):
            read(content[:length], "cut.tflite")


@readers
def test_what_is_appended_is_not_looked_at(models: Path, read: Reader) -> None:
    content = (models / "small_32x32_int8.tflite").read_bytes()
    assert read(content + b"PK\x03\x04 and more", "zip") == read(content, "plain")


@readers
@given(noise=st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes, read: Reader) -> None:
    for content in (noise, noise[:4] + b"TFL3" + noise[4:]):
        with pytest.raises(ModelError):
            read(content, "noise")


@readers
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_but_never_crashes(models: Path, data: st.DataObject, read: Reader) -> None:
    content = bytearray((models / "small_32x32_int8.tflite").read_bytes())
    for place in data.draw(st.lists(st.integers(8, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelError):
        read(bytes(content), "damaged")


@pytest.mark.parametrize("name", ["small_32x32_int8", "small_32x32_float32"])
def test_every_single_byte_may_be_wrong(models: Path, name: str) -> None:
    """Each byte in front of the constants set to 0, 127 and 255: strides of 0, negative numbers, windows of no size."""
    content = (models / f"{name}.tflite").read_bytes()
    for place, value in itertools.product(range(8, min(len(content), 3000)), (0, 127, 255)):
        with contextlib.suppress(ModelError):
            read_graph_and_look(content[:place] + bytes([value]) + content[place + 1 :], "damaged")


@readers
def test_a_small_file_that_claims_endless_tables_is_refused_at_once(read: Reader) -> None:
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
    with mock.patch("quietcam.tflite.flatbuffer.MOST_TABLES", 1 << 30), pytest.raises(_WalkedError), _counting(50_000):
        read(bytes(content), "bomb")
    with pytest.raises(ModelError, match="damaged"), _counting(200_000):
        read(bytes(content), "bomb")


class _WalkedError(Exception):
    """Too much."""


@contextlib.contextmanager
def _counting(most: int) -> Iterator[None]:
    """No more than ``most`` tables are read."""
    original, counts = FlatBuffer.table, itertools.count()

    def counted(*words: object) -> object:
        if next(counts) > most:
            raise _WalkedError
        return original(*words)  # type: ignore[arg-type]

    with mock.patch.object(FlatBuffer, "table", counted):
        yield
