"""Options of a camera as they stand behind its name: NAME:KEY=VALUE,KEY=VALUE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from quietcam.errors import UsageError
from quietcam.limits import MOST_COUNT, MOST_FRAME_PIXELS, read_number, read_whole
from quietcam.terminal.printable import printable

__all__ = ["SIZE_MEANS", "parse_options", "read_count", "read_rate", "read_size"]

_LARGEST_SIDE = 8192
_SHOWN = 200  # characters of an option in a message

SIZE_MEANS = f"WIDTHxHEIGHT, each 16 to {_LARGEST_SIDE}, and at most {MOST_FRAME_PIXELS // 10**6} million pixels"

T = TypeVar("T")


def parse_options(
    text: str, options: T, readers: Mapping[str, tuple[Callable[[str], Any], str]], who: str, example: str
) -> T:
    """A dataclass ``options`` with the values that ``text`` gives.

    Args:
        readers: of each key the function that reads its value, raising ValueError, and what it means to people.
        who: whose options they are, for messages.
        example: a whole source, for messages.

    Raises:
        UsageError: an unknown key, or a value that does not fit it.
    """
    secret = "@" in text or "://" in text  # a URL has got among them, and a comma may stand in its password
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        told = "one that is not shown, since it may hold a password" if secret else printable(part)[:_SHOWN]
        if key not in readers:
            raise UsageError(
                f"{who} has the options {', '.join(readers)}. Received: {told}. Remedy: for example {example}"
            )
        read, means = readers[key]
        try:
            options = replace(options, **{key: read(value)})  # type: ignore[type-var]
        except ValueError:
            raise UsageError(f"{who}'s {key} is {means}. Received: {told}. Remedy: for example {example}") from None
    return options


def read_size(text: str) -> tuple[int, int]:
    """``640x480`` as ``(width, height)`` in pixels.

    Raises:
        ValueError: it is not what ``SIZE_MEANS`` says.
    """
    width, height = (read_whole(part, 16, _LARGEST_SIDE) for part in text.lower().split("x"))
    if width * height > MOST_FRAME_PIXELS:
        raise ValueError
    return width, height


def read_rate(text: str) -> float:
    """Frames a second, 0.001 to 1000; otherwise ValueError."""
    return read_number(text, 0.001, 1000)


def read_count(text: str) -> int:
    """A whole number of at least 1; otherwise ValueError."""
    return read_whole(text, 1, MOST_COUNT)
