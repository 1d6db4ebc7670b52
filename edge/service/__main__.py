"""Prints a file that a user copies: ``python -P -m edge.service unit``, ``config``, ``update``, ``alerts`` …

With ``-P``, Python does not take an edge.py in the present folder for this package.
"""

from __future__ import annotations

import sys
from importlib import resources

__all__ = ["unit"]

_FILES = {
    "unit": "quietcam.service",  # of systemd
    "config": "quietcam.toml",  # an example
    "update": "quietcam-update.service",  # of systemd: looks for an update
    "update-timer": "quietcam-update.timer",  # of systemd: starts it
    "alerts": "alerts.yml",  # rules of Prometheus
    "dashboard": "dashboard.json",  # of Grafana
}


def unit(python: str = sys.executable) -> str:
    """The unit file with the path of this Python."""
    return _text("unit", python)


def _text(kind: str, python: str = sys.executable) -> str:
    text = resources.files("edge.service").joinpath(_FILES[kind]).read_text(encoding="utf-8")
    return text.replace("@PYTHON@", python)


def main(words: list[str]) -> int:
    if len(words) != 1 or words[0] not in _FILES:
        print(f"usage: python -P -m edge.service {'|'.join(_FILES)}", file=sys.stderr)
        return 2
    print(_text(words[0]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
