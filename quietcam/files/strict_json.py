"""JSON, read and written strictly: input from outside is checked, and output can be read by every JSON parser.

Parsers differ in how they read NaN, 1e999, a key that occurs twice, or half a surrogate pair. So all of these are
refused when reading, and never written.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quietcam.errors import JsonError
from quietcam.files.regular import read_regular
from quietcam.files.text import valid_text

__all__ = [
    "MOST_BYTES",
    "MOST_DEPTH",
    "MOST_OF_A_LIST",
    "dump_json",
    "parse_json",
    "parse_object",
    "read_json",
    "read_object",
]

MOST_BYTES = 1 << 20
"""Largest size, in bytes of UTF-8, of a file that describes one thing. The largest manifest that ships has 14,000."""

MOST_OF_A_LIST = 256 << 20
"""Largest size in bytes of a file with an entry for each picture of a data set, or each score of a comparison."""

MOST_DEPTH = 32
"""Largest number of objects and arrays within each other."""

_LARGEST = 2**63 - 1
_MARKS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)  # strings match whole
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str | bytes, most: int = MOST_BYTES) -> Any:
    """Parse JSON that somebody else wrote.

    Args:
        text: bytes must be UTF-8.
        most: largest size in bytes of UTF-8.

    Raises:
        JsonError: it is no JSON; it is larger than ``most``, or deeper than ``MOST_DEPTH``; an object has a key twice;
            a number is not finite, or an integer does not fit into 64 bits; a string is no valid text.
    """
    if len(text) > most:
        raise JsonError(f"JSON of more than {most} bytes")
    try:
        content = text.decode() if isinstance(text, bytes) else text
        if len(content.encode()) > most:
            raise JsonError(f"JSON of more than {most} bytes")
        _check_depth(content)
        value = json.loads(
            content,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
        if _SURROGATE.search(content):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise JsonError("JSON whose text is not valid UTF-8") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"no JSON ({error})") from None
    return value


def parse_object(text: str | bytes, most: int = MOST_BYTES) -> dict[str, Any]:
    """As ``parse_json``, for a text that must hold an object.

    Raises:
        JsonError: as ``parse_json``, or the text holds something else.
    """
    return _only_object(parse_json(text, most))


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """As ``parse_json``, for a regular file (``quietcam.files.regular``).

    Raises:
        JsonError: as ``parse_json``.
        OSError: it cannot be read, is no regular file, or has more than ``most`` bytes.
    """
    return parse_json(read_regular(path, most), most)


def read_object(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """As ``read_json``, for a file that must hold an object."""
    return _only_object(read_json(path, most))


def _only_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise JsonError(f"JSON with {_KINDS.get(type(value), 'null')} where an object is expected")
    return value


def dump_json(
    value: Any,
    *,
    indent: int | None = None,
    sort_keys: bool = False,
    ascii_only: bool = True,
    other: Callable[[object], str] | None = None,
) -> str:
    """Write ``value`` as JSON that ``parse_json`` and every other parser can read.

    A number that is not finite becomes null: a report stays readable if something could not be measured. Names that are
    not UTF-8 are escaped (:func:`quietcam.files.text.valid_text`). Numbers and arrays of numpy, paths, tuples and
    mappings become numbers, arrays, strings, arrays and objects.

    Args:
        other: converts objects that JSON cannot hold to text. Defaults to none.

    Raises:
        TypeError: ``value`` holds something that JSON cannot hold, and there is no ``other``.
    """
    plain = _plain(value, other)
    return json.dumps(plain, indent=indent, sort_keys=sort_keys, ensure_ascii=ascii_only, allow_nan=False)


_KINDS = {list: "an array", str: "text", int: "a number", float: "a number", bool: "a truth value"}


def _plain(value: Any, other: Callable[[object], str] | None) -> Any:
    if isinstance(value, str | os.PathLike):
        return valid_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): _plain(each, other) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, other) for each in value]
    if hasattr(value, "tolist"):  # numpy, without importing it
        return _plain(value.tolist(), other)
    if other is not None:
        return valid_text(other(value))
    raise TypeError(f"JSON holds no {type(value).__name__}")


def _key(key: object) -> str:
    return valid_text(key) if isinstance(key, str | os.PathLike) else str(key)


def _check_depth(text: str) -> None:
    """Check the depth before parsing, since the parser is recursive."""
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return
    depth = 0
    for found in _MARKS.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise JsonError(f"JSON of more than {MOST_DEPTH} levels")
        elif found[0] in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):  # some parsers take the first value, others the last
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"JSON with the key {_short(key)} twice in an object")
            seen.add(key)
    return values


def _integer(text: str) -> int:
    if len(text) > 20 or not -_LARGEST <= (value := int(text)) <= _LARGEST:
        raise JsonError(f"JSON with the integer {_short(text)}, beyond 64 bits")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonError(f"JSON with the number {_short(text)}, which is not finite")
    return value


def _constant(text: str) -> float:
    raise JsonError(f"JSON with {text}, which is not a finite number")


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:37]}...")
