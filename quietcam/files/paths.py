"""Kinds of paths, without errors if this user has no permission, unlike ``pathlib``."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["exists", "is_dir", "is_file", "lack", "may_look", "resolved"]


def exists(path: Path) -> bool:
    """Whether the path exists and this user may see it."""
    return os.path.exists(path)  # noqa: PTH110  unlike Path.exists it raises no PermissionError


def is_file(path: Path) -> bool:
    """Whether the path is a file that this user may see."""
    return os.path.isfile(path)  # noqa: PTH113


def is_dir(path: Path) -> bool:
    """Whether the path is a folder that this user may see."""
    return os.path.isdir(path)  # noqa: PTH112


def lack(path: Path) -> str:
    """Why ``path`` is not a file, for error messages."""
    return "a folder" if is_dir(path) else "no file" if exists(path) else "which does not exist"


def may_look(path: Path) -> bool:
    """Whether this user may find out what kind of path it is."""
    try:
        path.stat()
    except PermissionError:
        return False
    except (OSError, ValueError):
        pass
    return True


def resolved(path: Path) -> Path:
    """The absolute path without links; unchanged if the working folder is gone or may not be entered."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path
