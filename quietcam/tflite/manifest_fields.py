"""Checks the fields of a manifest, in one place, so that code that uses a manifest need not check them."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FIELDS", "NAME", "check_fields"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""A model's name. File names begin with it: it has no slash, and leaves room in 255 bytes for size and recipe."""

_SIDE = 1 << 15  # pixels; larger than any frame
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # control characters, which a terminal or a log would interpret
_MOST = 1e9

_Check = Callable[[Any], bool]
_Rule = tuple[str, _Check]
"""The rule for a value in words, and the function that checks it."""


def check_fields(values: Mapping[str, Any]) -> str | None:
    """What is wrong with the known fields of ``values``, as the rule and what was received; None if nothing is."""
    for key, (rule, holds) in FIELDS.items():
        if key in values and not holds(values[key]):
            return f"The manifest's {key} must be {rule}. Received: {key}={_short(values[key])}."
    for key in FIELDS:
        if key in values and (text := _unseen(values[key])) is not None:
            return f"The texts of a manifest must not contain control characters. Received: {_short(text)} in {key}."
    return None


def _is_whole(least: int, most: int) -> _Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(least: float, most: float) -> _Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_like(pattern: re.Pattern[str]) -> _Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _holds(**rules: _Check) -> _Check:
    """A check for an object: values with these keys must follow their rules; other keys are allowed."""
    return lambda value: isinstance(value, dict) and all(k not in value or rule(value[k]) for k, rule in rules.items())


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _is_end(value: Any) -> bool:
    needed = {"dtype": _is_like(_WORD), "scale": _is_number(0.0, _MOST), "zero_point": _is_whole(-(2**31), 2**31 - 1)}
    return isinstance(value, dict) and all(key in value and check(value[key]) for key, check in needed.items())


def _is_decibels(value: Any) -> bool:
    return _is_number(-_MOST, _MOST)(value)


def _is_by_set(value: Any) -> bool:
    """Whether these are scores by the name of a data set, as ``quietcam.evaluation`` writes them."""
    score = {"psnr": _is_decibels, "noisy_psnr": _is_decibels}
    return isinstance(value, dict) and all(
        isinstance(each, dict)
        and all(key in each and holds(each[key]) for key, holds in score.items())
        and _or_null(_is_decibels)(each.get("without_history"))
        for each in value.values()
    )


def _is_tools(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_gate(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    levels = [value[key] for key in ("low", "high") if key in value]
    return all(map(_is_number(0.0, 255.0), levels)) and levels == sorted(levels) and len(set(levels)) == len(levels)


def _names(first: str) -> _Rule:
    """The rule for the names of a network's inputs, of which ``first`` is one, or of its outputs."""
    return (
        f"{first}, or {first} and history",
        lambda value: value in ([], [first], [first, "history"], ["history", first]),
    )


def _is_golden(value: Any) -> bool:
    if not isinstance(value, dict) or not _is_whole(0, 255)(value.get("tolerance")):
        return False
    shape = value.get("shape")
    if not isinstance(shape, list) or len(shape) != 3 or not all(map(_is_whole(1, 1024), shape)):
        return False
    return all(_pixels(value.get(key)) == math.prod(shape) for key in ("noisy", "denoised"))


def _pixels(text: object) -> int | None:
    """How many bytes a base64 text encodes; None if it is not base64."""
    try:
        return len(base64.b64decode(text, validate=True)) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None


FIELDS: dict[str, _Rule] = {
    "name": ("letters, digits, dots, dashes and underscores, at most 200", _is_like(NAME)),
    "recipe": ("the name of a recipe", _is_like(_WORD)),
    "width": (f"a whole number of pixels, 1 to {_SIDE}", _is_whole(1, _SIDE)),
    "height": (f"a whole number of pixels, 1 to {_SIDE}", _is_whole(1, _SIDE)),
    "channels": ("1 or 3", lambda value: _is_whole(1, 3)(value) and value != 2),
    "sha256": ("64 hexadecimal digits", _is_like(_HASH)),
    "gmacs": ("a number, 0 or more", _is_number(0.0, _MOST)),
    "gmacs_256": ("a number, 0 or more", _is_number(0.0, _MOST)),
    "architecture": ("an object or null", _or_null(_is_object)),
    "receptive_field": (f"a whole number, 1 to {_SIDE}, or null", _or_null(_is_whole(1, _SIDE))),
    "stride": (f"a whole number, 1 to {_SIDE}", _is_whole(1, _SIDE)),
    "input": ("an object of dtype, scale and zero_point, or null", _or_null(_is_end)),
    "output": ("an object of dtype, scale and zero_point, or null", _or_null(_is_end)),
    "sparsity": ("a share, 0 to 1, or null", _or_null(_is_number(0.0, 1.0))),
    "training": (
        "an object in which data, licence and sha256 are texts, ranges is an object and runs a list of objects",
        _holds(
            data=_or_null(_is_text),
            licence=_or_null(_is_text),
            sha256=_or_null(_is_text),
            ranges=_or_null(_is_object),
            runs=lambda value: isinstance(value, list) and all(map(_is_object, value)),
        ),
    ),
    "metrics": (
        "an object in which psnr is a number, by_set holds psnr and noisy_psnr by name, findings is a list of texts",
        _holds(
            psnr=_or_null(_is_decibels),
            by_set=_or_null(_is_by_set),
            findings=_or_null(lambda value: isinstance(value, list) and all(map(_is_text, value))),
        ),
    ),
    "tools": ("an object of texts", _is_tools),
    "golden": (
        "a golden frame whose shape, noisy, denoised and tolerance match each other, or null",
        _or_null(_is_golden),
    ),
    "tail": ("the name of an operator, or null", _or_null(_is_like(_WORD))),
    "block": ("a whole number, 1 to 16, or null", _or_null(_is_whole(1, 16))),
    "gate": ("two noise levels, low below high, 0 to 255, or null", _or_null(_is_gate)),
    "weights_sha256": ("64 hexadecimal digits, or null", _or_null(_is_like(_HASH))),
    "made_from": (
        "an object in which model and sha256 are texts and tools is an object of texts, or null",
        _or_null(_holds(model=_is_text, sha256=_is_like(_HASH), tools=_is_tools)),
    ),
    "inputs": _names("noisy"),
    "outputs": _names("denoised"),
}


def _unseen(value: Any) -> str | None:
    """A text inside ``value`` that contains control characters; None if there is none."""
    if isinstance(value, str):
        return value if _UNSEEN.search(value) else None
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return next((found for each in value if (found := _unseen(each)) is not None), None)
    return None


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
