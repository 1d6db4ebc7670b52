"""Prints the unit file for this installation, or an example of its configuration: ``python -m edge.service unit``."""

from __future__ import annotations

import sys
from importlib import resources

__all__ = ["unit"]

_FILES = {"unit": "quietcam.service", "config": "quietcam.toml"}


def unit(python: str = sys.executable) -> str:
    """The unit file, with this Python in it."""
    return _text("unit").replace("@PYTHON@", python)


def _text(kind: str) -> str:
    return resources.files("edge.service").joinpath(_FILES[kind]).read_text(encoding="utf-8")


def main(words: list[str]) -> int:
    if len(words) != 1 or words[0] not in _FILES:
        print(f"usage: python -m edge.service {'|'.join(_FILES)}", file=sys.stderr)
        return 2
    print(unit() if words[0] == "unit" else _text("config"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
