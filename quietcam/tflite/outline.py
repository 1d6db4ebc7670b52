"""Look into a `.tflite` before native code does: is it whole, and what are its ends?

tflite-runtime does not verify what it loads and takes the process down with a file that was cut short. So every table
that matters is walked here, and each offset must stay inside the file. Offsets may meet in one place, so a small file
can claim any number of tables: what is walked is counted. Field numbers are those of TensorFlow Lite's `schema.fbs`,
version 3; the encoding is FlatBuffers' (flatbuffers.dev, "Internals").
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quietcam.errors import ModelError, UsageError
from quietcam.tflite.quantization import Quantization

__all__ = ["End", "Outline", "read_outline"]


@dataclass(frozen=True)
class End:
    """An input or an output of the graph. ``shape`` has -1 for a dynamic side; ``dtype`` is numpy's name.

    A dynamic batch is what the runtime takes unless it is told otherwise, and that is what the file stores: 1.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None


@dataclass(frozen=True)
class Outline:
    """What must be known of a model before it is loaded.

    Attributes:
        custom: names of operators that no runtime has built in.
        arena: bytes that the tensors between the operators take at once, at least, in the first subgraph.
    """

    subgraphs: int
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    custom: tuple[str, ...] = ()
    arena: int = 0


_IDENTIFIER = b"TFL3"
_MOST_TABLES = 100_000  # of networks that denoise, the largest has some thousands
_MOST_INDICES = 1_000_000  # in all lists of tensors, operators and sides
_MOST_SIDES = 8
_REMEDY = "Remedy: copy the file again, or convert the model again with `quietcam convert`."

# A schema maps a field's name to its number and kind: a struct letter for a number, `[letter]` for a vector
# of them, a schema for a table, `[schema]` for a vector of tables. An empty schema is a table of any type.
_Schema = dict[str, tuple[int, Any]]
_OPAQUE: _Schema = {}
_QUANTIZATION: _Schema = {
    "min": (0, ["f"]),
    "max": (1, ["f"]),
    "scale": (2, ["f"]),
    "zero_point": (3, ["q"]),
    "details": (5, _OPAQUE),
}
_TENSOR: _Schema = {
    "shape": (0, ["i"]),
    "type": (1, "b"),
    "buffer": (2, "I"),
    "name": (3, ["B"]),
    "quantization": (4, _QUANTIZATION),
    "sparsity": (6, _OPAQUE),
    "shape_signature": (7, ["i"]),
}
_OPERATOR: _Schema = {
    "inputs": (1, ["i"]),
    "outputs": (2, ["i"]),
    "builtin_options": (4, _OPAQUE),
    "custom_options": (5, ["B"]),
    "intermediates": (8, ["i"]),
}
_SUBGRAPH: _Schema = {
    "tensors": (0, [_TENSOR]),
    "inputs": (1, ["i"]),
    "outputs": (2, ["i"]),
    "operators": (3, [_OPERATOR]),
    "name": (4, ["B"]),
}
_TENSOR_MAP: _Schema = {"name": (0, ["B"])}
_SIGNATURE: _Schema = {"inputs": (0, [_TENSOR_MAP]), "outputs": (1, [_TENSOR_MAP]), "key": (2, ["B"])}
_MODEL: _Schema = {
    "version": (0, "I"),
    "operator_codes": (1, [{"custom_code": (1, ["B"])}]),
    "subgraphs": (2, [_SUBGRAPH]),
    "description": (3, ["B"]),
    "buffers": (4, [{"data": (0, ["B"])}]),
    "metadata_buffer": (5, ["i"]),
    "metadata": (6, [{"name": (0, ["B"])}]),
    "signatures": (7, [_SIGNATURE]),
}

_DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}
_BYTES = {1: 2, 3: 1, 4: 8, 6: 1, 7: 2, 8: 8, 9: 1, 10: 8, 11: 16, 12: 8, 16: 2, 17: 1, 18: 2}  # by type; others: 4


def read_outline(content: bytes, name: str) -> Outline:
    """The outline of a model file's ``content``; ``name`` is for messages.

    Raises:
        ModelError: it is no TensorFlow Lite model, or not a whole one.
    """
    if content[4:8] != _IDENTIFIER:
        raise ModelError(
            f"{name} is not a TensorFlow Lite model. Received: {len(content)} bytes "
            f"without the mark {_IDENTIFIER.decode()} at the front. Remedy: give a .tflite file."
        )
    try:
        reader = _Reader(content)
        model = reader.table(reader.follow(0), _MODEL)
        subgraphs = model["subgraphs"]
        first = subgraphs[0]
        custom = tuple(
            bytes(c["custom_code"]).decode(errors="replace") for c in model["operator_codes"] if c["custom_code"]
        )
        inputs, outputs = (tuple(_end(first["tensors"][i]) for i in first[side]) for side in ("inputs", "outputs"))
        arena = _arena(first, [len(each["data"]) for each in model["buffers"]])
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(
            f"{name} is not a whole TensorFlow Lite model: it is cut short or damaged. "
            f"Received: {len(content)} bytes. {_REMEDY}"
        ) from error
    return Outline(len(subgraphs), inputs, outputs, custom, arena)


def _end(tensor: dict[str, Any]) -> End:
    known = None
    stored = tensor["quantization"]
    if stored and len(stored["scale"]) == len(stored["zero_point"]) == 1:
        with contextlib.suppress(UsageError):  # uint8 has zero points beyond int8's
            known = Quantization(stored["scale"][0], stored["zero_point"][0])
    return End(
        name=bytes(tensor["name"]).decode(errors="replace"),
        shape=_shape(tuple(tensor["shape"]), tuple(tensor["shape_signature"])),
        dtype=_DTYPES.get(tensor["type"], f"type {tensor['type']}"),
        quantization=known,
    )


def _arena(graph: dict[str, Any], stored: Sequence[int]) -> int:
    """Bytes of the tensors that live at the same time, at most, where the operators run in order.

    A tensor lives from the operator that writes it to the last one that reads it; an input from the first, an output
    to the last. What the file stores takes nothing.
    """
    last = len(graph["operators"])
    born: dict[int, int] = dict.fromkeys(graph["inputs"], 0)
    dies: dict[int, int] = {}
    for time, operator in enumerate(graph["operators"]):
        for index in (*operator["outputs"], *operator["intermediates"]):
            born.setdefault(index, time)
            dies.setdefault(index, time)
        dies.update(dict.fromkeys(operator["inputs"], time))
    dies.update(dict.fromkeys(graph["outputs"], last))
    steps = [0] * (last + 2)
    for index, time in born.items():
        tensor = graph["tensors"][index]
        if index >= 0 and not stored[tensor["buffer"]]:
            if len(tensor["shape"]) > _MOST_SIDES:
                raise ValueError("a tensor of more sides than any operator takes")
            size = math.prod(max(side, 1) for side in tensor["shape"]) * _BYTES.get(tensor["type"], 4)
            steps[time] += size
            steps[max(dies.get(index, time), time) + 1] -= size
    most = now = 0
    for step in steps:
        now += step
        most = max(most, now)
    return most


def _shape(stored: tuple[int, ...], signature: tuple[int, ...]) -> tuple[int, ...]:
    if len(signature) == len(stored) > 1 and signature[0] == -1:
        return stored[:1] + signature[1:]
    return signature or stored


class _Reader:
    """Reads tables by schema. What points outside of the file raises ``struct.error`` or ``ValueError``."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._tables = self._indices = 0

    def number(self, letter: str, place: int) -> Any:
        if place < 0:
            raise ValueError("an offset before the file's front")
        return struct.unpack_from(f"<{letter}", self._content, place)[0]

    def follow(self, place: int) -> int:
        """Where the offset at ``place`` points to."""
        return place + int(self.number("I", place))

    def table(self, place: int, schema: _Schema) -> dict[str, Any]:
        """The fields of a table; a missing one is 0, an empty vector or None by its kind."""
        self._tables += 1
        if self._tables > _MOST_TABLES:
            raise ValueError("more tables than any network has")
        layout = place - self.number("i", place)
        layout_size, table_size = self.number("H", layout), self.number("H", layout + 2)
        self._inside(layout, layout_size)
        self._inside(place, table_size)
        fields: dict[str, Any] = {}
        for name, (number, kind) in schema.items():
            slot = 4 + 2 * number
            offset = self.number("H", layout + slot) if slot + 2 <= layout_size else 0
            fields[name] = self._field(place + offset, kind) if offset else _missing(kind)
        return fields

    def _field(self, place: int, kind: Any) -> Any:
        if isinstance(kind, str):
            return self.number(kind, place)
        target = self.follow(place)
        if isinstance(kind, dict):
            return self.table(target, kind)
        (element,) = kind
        count, start = self.number("I", target), target + 4
        if isinstance(element, dict):
            self._inside(start, 4 * count)
            return [self.table(self.follow(start + 4 * index), element) for index in range(count)]
        size = count * struct.calcsize(f"<{element}")
        self._inside(start, size)
        if element == "i":  # others are not walked
            self._indices += count
            if self._indices > _MOST_INDICES:
                raise ValueError("longer lists than any network has")
        return self._content[start : start + size].cast(element)

    def _inside(self, start: int, size: int) -> None:
        if start < 0 or start + size > len(self._content):
            raise ValueError("an offset behind the file's end")


def _missing(kind: Any) -> Any:
    if isinstance(kind, str):
        return 0
    return None if isinstance(kind, dict) else ()
