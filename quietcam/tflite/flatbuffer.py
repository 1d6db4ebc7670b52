"""Reads FlatBuffers safely: every table, list and text must lie inside the file, and the amount read is limited.

In a damaged file, offsets may point anywhere, and many of them to one place, so a small file can claim any number of
tables. That is why everything read is counted. The encoding is described at flatbuffers.dev, "Internals".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BROKEN", "PLACE", "TEXT", "Field", "FlatBuffer", "Schema", "Table"]

BROKEN = (struct.error, IndexError, ValueError, OverflowError)
"""The errors that a damaged file causes, here or in code that uses its numbers."""

MOST_TABLES = 100_000  # the largest denoising networks have some thousands
MOST_NUMBERS = 1_000_000  # in all lists but those of bytes
MOST_TEXT = 16 << 20  # bytes of all texts

PLACE = "place"
"""The kind of a table whose fields are read later, if at all: its offset in the file; None if it is missing."""

TEXT = "text"
"""The kind of a text."""


@dataclass(frozen=True)
class Field:
    """A field of a table.

    Attributes:
        number: its number in the format.
        kind: a letter of ``struct`` for a number, ``[letter]`` for a list of numbers, a schema for a table,
            ``[schema]`` for a list of tables, ``TEXT`` or ``PLACE``. A list of ``B`` is the file's own bytes.
        default: of a number that is missing.
    """

    number: int
    kind: Any
    default: int = 0

    @property
    def missing(self) -> Any:
        """The value of a missing field: the default, an empty list or text, or no table."""
        if isinstance(self.kind, list):
            return ()
        if self.kind == TEXT:
            return ""
        if self.kind == "?":
            return bool(self.default)
        return None if isinstance(self.kind, dict) or self.kind == PLACE else self.default


Schema = Mapping[str, Field]
"""The fields of a table that are read, by name."""

Table = dict[str, Any]
"""A table that was read, by the names of its schema."""


class FlatBuffer:
    """One file. An offset outside of it, or too large a claim, raises one of ``BROKEN``."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._tables = self._numbers = self._text = 0

    def root(self, schema: Schema) -> Table:
        """The table that the file begins with."""
        return self.table(self._follow(0), schema)

    def table(self, place: int, schema: Schema) -> Table:
        """The fields of the table at ``place``."""
        self._tables = _counted(self._tables + 1, MOST_TABLES)
        layout = place - self._number("i", place)
        layout_size, table_size = self._number("H", layout), self._number("H", layout + 2)
        self._check_inside(layout, layout_size)
        self._check_inside(place, table_size)
        fields: Table = {}
        for name, field in schema.items():
            slot = 4 + 2 * field.number
            offset = self._number("H", layout + slot) if slot + 2 <= layout_size else 0
            fields[name] = self._field(place + offset, field.kind) if offset else field.missing
        return fields

    def _field(self, place: int, kind: Any) -> Any:
        if isinstance(kind, list):
            return self._list(self._follow(place), kind[0])
        if isinstance(kind, dict):
            return self.table(self._follow(place), kind)
        if kind == TEXT:
            text = self._list(self._follow(place), "B")
            self._text = _counted(self._text + len(text), MOST_TEXT)
            return bytes(text).decode(errors="replace")
        if kind == PLACE:
            target = self._follow(place)
            self.table(target, {})
            return target
        return self._number(kind, place)

    def _list(self, place: int, element: Any) -> Any:
        count, start = self._number("I", place), place + 4
        size = 4 if isinstance(element, dict) else struct.calcsize(f"<{element}")
        self._check_inside(start, count * size)
        if isinstance(element, dict):
            return [self.table(self._follow(start + size * index), element) for index in range(count)]
        if element == "B":
            return self._content[start : start + count]
        self._numbers = _counted(self._numbers + count, MOST_NUMBERS)
        return struct.unpack_from(f"<{count}{element}", self._content, start)

    def _follow(self, place: int) -> int:
        """Where the offset at ``place`` points to."""
        return place + int(self._number("I", place))

    def _number(self, letter: str, place: int) -> Any:
        if place < 0:
            raise ValueError("an offset before the file's start")
        return struct.unpack_from(f"<{letter}", self._content, place)[0]

    def _check_inside(self, start: int, size: int) -> None:
        if start < 0 or start + size > len(self._content):
            raise ValueError("an offset after the file's end")


def _counted(total: int, most: int) -> int:
    if total > most:
        raise ValueError(f"more than any network has: {total}")
    return total
