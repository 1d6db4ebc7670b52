"""The parser of ``KEY=VALUE,KEY=VALUE``, for the options of cameras, spools, generated scenes and splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quietcam.errors import UsageError
from quietcam.limits import read_number, read_whole
from quietcam.terminal.printable import printable

__all__ = ["Key", "choice_key", "number_key", "parse_key_values", "path_key", "whole_key"]

_SHOWN = 200  # characters of an option in a message


@dataclass(frozen=True)
class Key:
    """The values that one key takes.

    Attributes:
        read: converts the text after ``=`` to the value; raises ValueError if it is not valid.
        means: description of the value in messages: "The camera's fps is MEANS."
    """

    read: Callable[[str], Any]
    means: str


def number_key(least: float, most: float, means: str) -> Key:
    """A number from ``least`` to ``most``; ``means`` names its unit and its range."""
    return Key(lambda text: read_number(text, least, most), means)


def whole_key(least: int, most: int, means: str) -> Key:
    """A whole number from ``least`` to ``most``."""
    return Key(lambda text: read_whole(text, least, most), means)


def choice_key(*words: str) -> Key:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Key(read, f"{', '.join(words[:-1])} or {words[-1]}")


def path_key(means: str) -> Key:
    """A path; an empty one, which would be the working folder, is refused."""

    def read(text: str) -> Path:
        if not text:
            raise ValueError
        return Path(text)

    return Key(read, means)


def parse_key_values(text: str, keys: Mapping[str, Key], whose: str, example: str) -> dict[str, Any]:
    """Parse ``text`` to values by key. Spaces around keys and values, and empty parts, are ignored.

    Args:
        text: ``KEY=VALUE,KEY=VALUE``; may be empty.
        keys: the known keys.
        whose: owner of the options, as the subject of a sentence: ``The synthetic camera``.
        example: an example for the remedy.

    Raises:
        UsageError: a key that is unknown or given twice, or a value that does not fit its key.
    """
    secret = "@" in text or "://" in text  # part of a URL, perhaps of a password with a comma in it
    values: dict[str, Any] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, _, value = map(str.strip, part.partition("="))
        received = "an option that is not shown, since it may hold a password" if secret else printable(part)[:_SHOWN]
        remedy = f"Received: {received}. Remedy: for example {example}"
        if key not in keys:
            raise UsageError(f"{whose} has the options {', '.join(keys)}. {remedy}")
        if key in values:
            raise UsageError(f"{whose}'s {key} may be given once. {remedy}")
        try:
            values[key] = keys[key].read(value)
        except ValueError:
            raise UsageError(f"{whose}'s {key} is {keys[key].means}. {remedy}") from None
    return values
