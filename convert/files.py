"""Writes model files atomically, under the agreed names, with a manifest, after the device's code has run them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from edge.network.golden import check_golden, make_golden
from edge.network.interpreter import Interpreter
from quietcam.errors import ModelError, UsageError
from quietcam.files.atomic import atomic_path
from quietcam.limits import MOST_FRAME_PIXELS
from quietcam.terminal.printable import printable
from quietcam.tflite.manifest import Manifest, attach_manifest, write_sidecar

__all__ = ["check_name", "check_size", "model_filename", "read_size", "read_tile", "write_model"]

_SHOWN = 200  # characters of a value in a message


def model_filename(manifest: Manifest) -> str:
    """``NAME_WxH_RECIPE.tflite``."""
    return f"{manifest.name}_{manifest.width}x{manifest.height}_{manifest.recipe}.tflite"


def read_tile(text: str) -> tuple[int, int]:
    """Parse ``256`` as the ``(width, height)`` of a square in pixels.

    Raises:
        UsageError: the text is not such a number.
    """
    if not re.fullmatch(r"[1-9]\d{0,4}", text):
        raise UsageError(
            f"`tile` is a square's side in pixels. Received: {printable(text)[:_SHOWN]}. Remedy: for example `tile=256`"
        )
    return read_size(f"{text}x{text}")


def check_name(name: str) -> str:
    """Return ``name`` if a file name can begin with it.

    Raises:
        UsageError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(
            "A model's name must have 1 to 100 letters, digits, dots, dashes and underscores. Received: "
            f"{printable(name)[:_SHOWN]}. "
            "Remedy: give another one with `name`."
        )
    return name


def read_size(text: str) -> tuple[int, int]:
    """Parse ``640x480`` as ``(width, height)`` in pixels.

    Raises:
        UsageError: the text is not such a size.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text)
    if found is None or int(found[1]) * int(found[2]) > MOST_FRAME_PIXELS:
        raise UsageError(
            f"`size` is WIDTHxHEIGHT in pixels, at most {MOST_FRAME_PIXELS // 10**6} million. Received: "
            f"{printable(text)[:_SHOWN]}. Remedy: for example `size=640x480`"
        )
    return int(found[1]), int(found[2])


def check_size(size: object) -> tuple[int, int]:
    """``(width, height)`` in pixels, from such a pair or from ``"640x480"``.

    Raises:
        UsageError: it is none.
    """
    if isinstance(size, tuple | list) and len(size) == 2:
        return read_size(f"{size[0]}x{size[1]}")
    return read_size(str(size))


def write_model(folder: Path, content: bytes, manifest: Manifest, created: str | None = None) -> Path:
    """Write a model and its sidecar into ``folder``; return the model's path.

    The file gets its name only after the device's code has loaded it, checked its ends and run the golden frame. The
    manifest then holds the golden frame.

    Args:
        created: date of creation for the sidecar. Defaults to no date.

    Raises:
        ModelError: the device would refuse the model.
        StorageError: it cannot be written.
    """
    path = folder / model_filename(manifest)
    with atomic_path(path) as temporary:
        temporary.write_bytes(attach_manifest(content, manifest))
        with Interpreter(temporary, threads=1) as interpreter:
            manifest = replace(manifest, golden=make_golden(interpreter))
        temporary.write_bytes(attach_manifest(content, manifest))
        with Interpreter(temporary, threads=1) as interpreter:
            if interpreter.model.manifest != manifest:
                raise ModelError(f"A model must contain its own manifest. Received: {path.name} with another one.")
            if (found := check_golden(interpreter)) is None or found[0] > 0:
                raise ModelError(
                    f"A model must give the same output for the same input. Received: {path.name}, which differs by "
                    f"{found}."
                )
    write_sidecar(path, manifest, created)
    return path
