"""Runs pip for another machine: ``python -P -m deploy.card.foreign_pip MARKERS WORDS…``.

``pip --platform … --python-version …`` chooses wheels for another machine, but evaluates environment markers, such as
``python_version < "3.13"``, for the Python that runs pip. So packages that only the other machine needs are left out.
Here the markers have the values of MARKERS, a JSON object.
"""

from __future__ import annotations

import json
import sys

__all__ = ["main"]


def main(words: list[str]) -> int:
    """Run pip with ``words[1:]``, and return its exit code."""
    from pip._internal.cli.main import main as pip
    from pip._vendor.packaging import markers

    ours, theirs = markers.default_environment, json.loads(words[0])
    markers.default_environment = lambda: {**ours(), **theirs}
    return int(pip(words[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
