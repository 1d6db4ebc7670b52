"""Optional libraries: imported where they are first used. If one is missing, the error names the extra to install."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from quietcam.errors import MissingExtraError

__all__ = ["has_av", "load_av", "load_opencv", "load_optional"]


def load_opencv() -> Any:
    """The module ``cv2``.

    Raises:
        MissingExtraError: it is not installed.
    """
    return load_optional("cv2")


def load_av() -> Any:
    """The module ``av`` (PyAV).

    Raises:
        MissingExtraError: it is not installed.
    """
    return load_optional("av")


def has_av() -> bool:
    """Whether PyAV is installed. It is not imported."""
    if "av" in sys.modules:
        return sys.modules["av"] is not None
    return importlib.util.find_spec("av") is not None


def load_optional(module: str) -> Any:
    """A module that an extra of quietcam brings.

    Args:
        module: its name, with its package: ``scipy.io``.

    Raises:
        MissingExtraError: it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError.missing(module.partition(".")[0]) from error
