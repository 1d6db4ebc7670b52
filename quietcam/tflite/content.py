"""The bytes of a model file, read in one way for the device, conversion and training."""

from __future__ import annotations

from pathlib import Path

from quietcam.errors import ModelError, UsageError
from quietcam.files.regular import read_regular

__all__ = ["MOST_OF_A_MODEL", "read_content"]

MOST_OF_A_MODEL = 256 << 20
"""Most bytes of a model file: a hundred times the largest that ships, and still small enough for a small device."""


def read_content(path: Path) -> bytes:
    """What the model file ``path`` holds, with the manifest that is appended to it. It is not checked.

    Raises:
        UsageError: there is no such file.
        ModelError: it cannot be read, or has more than ``MOST_OF_A_MODEL`` bytes.
    """
    if not path.is_file():
        found = "which is not a file" if path.exists() else "which does not exist"
        raise UsageError(
            f"A model is a .tflite file. Received: {path}, {found}. Remedy: `quietcam models` lists those that ship."
        )
    try:
        return read_regular(path, MOST_OF_A_MODEL)
    except OSError as error:
        raise ModelError(
            f"A model must be a readable file. Received: {path}: {error.strerror}. Remedy: make it readable, or choose "
            "another model."
        ) from error
