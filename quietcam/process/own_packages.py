"""In a process of ours, ``import train`` finds our package, not the ``train.py`` that a user has in some folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

__all__ = ["STAGES", "find_own_packages_first"]

STAGES = frozenset({"calibration", "train", "convert", "compare", "edge", "deploy"})
"""The names that the wheel takes at the top level, beside ``quietcam``."""

_HOME = str(Path(__file__).resolve().parents[2])


class _OwnPackages(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  always None at the top level
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [_HOME]) if fullname in STAGES else None


def find_own_packages_first() -> None:
    """From now on look for our packages beside ``quietcam`` first, whatever ``sys.path`` and ``PYTHONPATH`` say.

    For a process that runs our command line. In the process of a user, their own ``train.py`` comes first.
    """
    if not any(isinstance(each, _OwnPackages) for each in sys.meta_path):
        sys.meta_path.insert(0, _OwnPackages())
