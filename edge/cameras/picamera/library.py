"""Loads the system's picamera2, which pip does not have, and lists the cameras that it sees."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from quietcam.errors import MissingExtraError

__all__ = ["flips", "list_picameras", "picamera2"]

_HAVE_IT = (
    "Remedy: sudo apt install python3-picamera2, and a virtual environment that sees it: "
    "python3 -m venv --system-site-packages DIR"
)


def list_picameras() -> list[dict[str, Any]]:
    """The cameras that libcamera sees, as picamera2 describes them.

    Raises:
        MissingExtraError: picamera2 is not installed.
    """
    return list(picamera2().Picamera2.global_camera_info())


def flips(horizontally: bool, vertically: bool) -> Any:
    """libcamera's ``Transform`` that exchanges left and right, and top and bottom."""
    return import_module("libcamera").Transform(hflip=horizontally, vflip=vertically)


def picamera2() -> Any:
    try:
        return import_module("picamera2")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"This camera needs the system's picamera2, which pip does not have. Received: no module {error.name}. "
            f"{_HAVE_IT}"
        ) from error
    except (ImportError, ValueError) as error:  # ValueError: built against another numpy
        raise MissingExtraError(
            f"The system's picamera2 does not load. Received: {error}. Remedy: if this names numpy, "
            "pip install 'numpy<2' 'opencv-python-headless<4.12'; else: sudo apt install --reinstall python3-picamera2"
        ) from error
