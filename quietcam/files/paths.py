"""What lies at a path that a user gave, also where this user may not look: ``pathlib`` raises there."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["exists", "is_dir", "is_file", "lack", "may_look", "resolved"]


def exists(path: Path) -> bool:
    """Whether something is there that this user may see."""
    return os.path.exists(path)  # noqa: PTH110  unlike Path.exists it knows no PermissionError


def is_file(path: Path) -> bool:
    """Whether a file is there that this user may see."""
    return os.path.isfile(path)  # noqa: PTH113


def is_dir(path: Path) -> bool:
    """Whether a folder is there that this user may see."""
    return os.path.isdir(path)  # noqa: PTH112


def lack(path: Path) -> str:
    """Why ``path`` is no file, for an error."""
    return "a folder" if is_dir(path) else "no file" if exists(path) else "which is not there"


def may_look(path: Path) -> bool:
    """Whether this user may see what is there, or that nothing is."""
    try:
        path.stat()
    except PermissionError:
        return False
    except (OSError, ValueError):
        pass
    return True


def resolved(path: Path) -> Path:
    """Absolute, without links; as it is where the working folder is gone or may not be entered."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path
