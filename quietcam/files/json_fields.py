"""Values of a JSON object by their kind, for classes that are read from a file; each error names the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["items", "number", "numbers", "table", "tables", "text", "texts", "whole"]

_Kind = TypeVar("_Kind")


def number(values: Mapping[Any, Any], key: Any) -> float:
    """The number under ``key``; a whole one, too, as a float.

    Raises:
        ValueError: there is none. All functions of this module raise it for a value that is missing or of another kind.
    """
    return float(whole(values, key) if isinstance(values.get(key), int) else _value(values, key, float, "a number"))


def whole(values: Mapping[Any, Any], key: Any) -> int:
    """The whole number under ``key``."""
    return _value(values, key, int, "a whole number")


def text(values: Mapping[Any, Any], key: Any) -> str:
    """The text under ``key``."""
    return _value(values, key, str, "text")


def items(values: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    """The list under ``key``: its values by their places, from 0."""
    return dict(enumerate(_value(values, key, list, "a list")))


def table(values: Mapping[Any, Any], key: Any) -> dict[str, Any]:
    """The object under ``key``."""
    return _value(values, key, dict, "an object")


def tables(values: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
    """``values``, each of which must be an object."""
    return {key: table(values, key) for key in values}


def numbers(values: Mapping[Any, Any]) -> dict[Any, float]:
    """``values``, each of which must be a number."""
    return {key: number(values, key) for key in values}


def texts(values: Mapping[Any, Any]) -> dict[Any, str]:
    """``values``, each of which must be text."""
    return {key: text(values, key) for key in values}


def _value(values: Mapping[Any, Any], key: Any, kind: type[_Kind], words: str) -> _Kind:
    if key not in values:
        raise ValueError(f"{key} is missing")
    value = values[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} must be {words}")
    return value
