"""Cameras: sources of frames, one file a backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.cameras.base import Camera, CameraState
from edge.cameras.folder import FolderCamera
from edge.cameras.network import SCHEMES, NetworkCamera, without_password
from edge.cameras.picamera import PicameraCamera, PicameraOptions
from edge.cameras.supervised import SupervisedCamera
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.cameras.v4l2 import V4l2Camera, V4l2Options, device_path
from edge.cameras.video import VideoCamera
from quietcam.data.pictures import is_picture_file
from quietcam.errors import UsageError

__all__ = ["KINDS", "Camera", "CameraState", "open_camera"]

KINDS = (
    "picamera2 (or picamera2:camera=0,size=640x480,fps=30,stream=main,denoise=off,sharpness=0)",
    "a video device (/dev/video0 or 0, or /dev/video0:size=1280x720,fps=30,format=MJPG)",
    f"a URL ({', '.join(f'{scheme}://' for scheme in SCHEMES)})",
    "a folder of pictures",
    "a picture",
    "a video file",
    "synthetic (or synthetic:size=640x480,fps=30,sensor=imx219,gain=16,seed=0,frames=100,rendered=2,base=PATH)",
)


def open_camera(
    source: str, size: tuple[int, int] | None = None, fps: float | None = None, allow_still: bool = False
) -> Camera:
    """The camera that ``source`` means, not yet opened: enter it as a context manager. Cameras that may vanish are
    watched and opened again.

    Args:
        source: one of ``KINDS``.
        size: ``(width, height)`` to ask a device for. Defaults to the device's own.
        fps: frames a second to ask a device for. Defaults to the device's own.
        allow_still: as for :class:`edge.cameras.supervised.SupervisedCamera`.

    Raises:
        UsageError: it means none; the message lists the kinds.
        DataError: it is a folder without pictures.
    """
    if fps is not None and not 0.0 < fps <= 1000.0:
        raise UsageError(f"--fps is frames a second, up to 1000. Received: {fps:g}.")
    kind, _, rest = source.partition(":")
    if kind == "synthetic":
        options = SyntheticOptions.parse(rest)
        options = replace(options, size=size or options.size, fps=fps or options.fps)
        return SyntheticCamera(options, None if options.base is None else _of_path(str(options.base)))
    make = _live(source, kind, rest, size, fps)
    if make is not None:
        return SupervisedCamera(make, allow_still=allow_still)
    if size is not None or fps is not None:
        raise UsageError(f"Only a camera can be asked for a size or a rate. Received: --source {source}.")
    return _of_path(source)


def _live(
    source: str, kind: str, rest: str, size: tuple[int, int] | None, fps: float | None
) -> Callable[[], Camera] | None:
    """What makes a live camera of ``source``; None where it means none."""
    if kind == "picamera2":
        pi = PicameraOptions.parse(rest, PicameraOptions())
        pi = replace(pi, size=size or pi.size, fps=fps or pi.fps)
        return lambda: PicameraCamera(pi)
    if kind in SCHEMES and rest.startswith("//"):
        if size is not None or fps is not None:
            raise UsageError(
                f"A stream has the size and the rate that its camera is set to. Received: {without_password(source)} "
                "with another one. Remedy: set it at the camera."
            )
        return lambda: NetworkCamera(source)
    if kind.isdigit() or kind.startswith(("/dev/video", "/dev/v4l/")):
        device, _, said = source.rpartition(":")
        if "=" not in said:  # names under /dev/v4l/by-path have colons of their own
            device, said = source, ""
        asked = V4l2Options.parse(said, V4l2Options(size, fps))
        return lambda: V4l2Camera(device_path(device), asked)
    return None


def _of_path(source: str) -> Camera:
    path = Path(source or "(nothing)")
    if path.is_dir() or (path.is_file() and is_picture_file(path)):
        return FolderCamera(path)
    if path.is_file():
        return VideoCamera(path)
    raise UsageError(
        f"A source is {'; '.join(KINDS)}. Received: {source or path}, which is none of these. Remedy: check the path."
    )
