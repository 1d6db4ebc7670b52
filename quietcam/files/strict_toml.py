"""Reading TOML: every text gives values or a ValueError, never another error."""

from __future__ import annotations

import tomllib
from typing import Any

__all__ = ["parse_toml"]


def parse_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        ValueError: it is no TOML, or has numbers of thousands of digits or thousands of levels. The message says which.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(str(error)) from None
    except ValueError:  # from int()
        raise ValueError("a number with too many digits") from None
