"""TOML as people write it: whatever a text holds, it is read, or there is one kind of error."""

from __future__ import annotations

import tomllib
from typing import Any

__all__ = ["parse_toml"]


def parse_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        ValueError: it is no TOML, or holds what Python cannot: numbers of thousands of digits, thousands of levels. The
            text says so in words.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(str(error)) from None
    except ValueError:  # of int()
        raise ValueError("a number with too many digits") from None
