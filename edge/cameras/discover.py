"""The camera that is there, for those who name none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.cameras.picamera import list_picameras
from edge.cameras.v4l2 import Device, list_devices
from quietcam.errors import MissingExtraError, UsageError

__all__ = ["find_camera"]


def find_camera(
    picameras: Callable[[], list[Any]] | None = None, devices: Callable[[], list[Device]] | None = None
) -> str:
    """What ``open_camera`` takes: picamera2's first camera, else the first video device that gives pictures.

    Raises:
        UsageError: there is none; the message says what to do.
    """
    missing: MissingExtraError | None = None
    try:
        if (picameras or list_picameras)():
            return "picamera2"
    except MissingExtraError as error:
        missing = error
    there = (devices or list_devices)()
    for device in there:
        if device.captures and not device.raw:
            return str(device.path)
    if missing is not None and any(device.raw for device in there):
        raise UsageError(f"There is a camera at the ribbon cable, which needs picamera2. {missing}") from missing
    raise UsageError(
        "A camera must be plugged in where none is named. Received: no --source, and neither picamera2 nor /dev/video* "
        "has one. Remedy: plug one in, or name what to denoise: --source rtsp://…, a video file, a folder of pictures; "
        "--source synthetic simulates one."
    )
