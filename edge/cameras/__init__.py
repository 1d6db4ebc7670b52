"""Cameras: sources of frames, one file a backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge.cameras.base import Camera, CameraState
from edge.cameras.discover import FoundCamera
from edge.cameras.folder import FolderCamera
from edge.cameras.network.http import HttpCamera, Kind, look
from edge.cameras.network.stream import stream_camera
from edge.cameras.network.url import SCHEMES, CameraUrl, is_url
from edge.cameras.orientation import Orientation
from edge.cameras.picamera.camera import PicameraCamera, PicameraOptions
from edge.cameras.supervised import SupervisedCamera
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.cameras.turned import turned
from edge.cameras.v4l2.camera import V4l2Camera, V4l2Options
from edge.cameras.v4l2.devices import device_path, is_number
from edge.cameras.video import VideoCamera
from quietcam.data.pictures.folder import is_picture_file
from quietcam.errors import UsageError
from quietcam.files.paths import exists, is_dir, is_file, may_look
from quietcam.terminal.secrets import shown

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
    source: str | Path | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    allow_still: bool = False,
    clip: bool = False,
    rotate: int = 0,
    flip: str | None = None,
) -> Camera:
    """The camera that ``source`` names. ``with`` opens and closes it; iterating over it gives its frames.

    If a live camera vanishes or freezes, it is opened again, until the caller stops iterating.

    Args:
        source: one of ``KINDS``, as ``/dev/video0``, ``picamera2``, ``rtsp://…``, a path or ``synthetic``. Defaults
            to the first camera of this machine.
        size: ``(width, height)`` in pixels to ask a device for. Defaults to the device's own.
        fps: frames a second to ask a device for, above 0, up to 1000. Defaults to the device's own.
        allow_still: accept a live camera whose picture never changes, such as a test pattern. Defaults to False: such a
            camera counts as frozen and is opened again.
        clip: the pictures of a folder are frames of a clip, in the order of their numbers. Defaults to False: they are
            independent pictures, unless the folder holds ``clip.json``.
        rotate: 0, 90, 180 or 270: degrees by which each frame is rotated, clockwise. ``size`` is that of the frames
            before.
        flip: ``horizontal`` or ``vertical``: exchange left and right, or top and bottom, after the rotation.

    Returns:
        A camera that is not open yet. Each :class:`edge.run.frame.Frame` has ``image``, uint8 ``(H, W, 3)`` RGB or
        ``(H, W, 1)``, ``timestamp`` in seconds and ``index``. A live camera uses the memory of ``image`` again after
        ``frame.done()``; a caller that never calls it may keep the image.

    Raises:
        UsageError: ``source`` names no camera (the message lists the kinds), or ``size``, ``fps`` or ``clip`` does not
            fit it; ``rotate`` or ``flip`` has another value.
        DataError: ``source`` is a folder without pictures, or a clip with only one.

    Example:
        >>> import quietcam
        >>> with quietcam.open_camera("synthetic:size=64x48,frames=3,fps=max") as camera:
        ...     for frame in camera:
        ...         print(frame.index, frame.image.shape)
        0 (48, 64, 3)
        1 (48, 64, 3)
        2 (48, 64, 3)
    """
    if fps is not None and not 0.0 < fps <= 1000.0:
        raise UsageError(
            f"`fps` is frames a second, above 0 and up to 1000. Received: {fps:g}. Remedy: for example 30."
        )
    if clip and (source is None or not (is_dir(Path(source)) or is_file(Path(source)))):
        received = "no source" if source is None else shown(str(source), whole=True)
        raise UsageError(
            f"A clip is a folder of pictures, or a video. Received: {received}. "
            "Remedy: check `source`, or leave out `clip`."
        )
    orientation = Orientation.of(rotate, flip)
    watched = partial(_watched, orientation, allow_still)
    if source is None:
        return watched(lambda: FoundCamera(lambda found: _made(found, size, fps, orientation)))
    source = str(source)
    kind, _, rest = source.partition(":")
    if kind == "synthetic":
        options = SyntheticOptions.parse(rest)
        options = replace(options, size=size or options.size, fps=fps or options.fps)
        base = None if options.base is None else _of_path(str(options.base))
        return turned(SyntheticCamera(options, base), orientation)
    # A folder may be called 20240517. One that is called picamera2 is written ./picamera2.
    if kind == "picamera2" or source.startswith("/dev/") or not exists(Path(source)):
        if is_url(source):
            of_url = _of_url(CameraUrl.parse(source), size, fps)
            return turned(of_url, orientation) if isinstance(of_url, Camera) else watched(of_url)
        make = _device(source, kind, rest, size, fps, orientation)
        if make is not None:
            return watched(make)
    if size is not None or fps is not None:
        raise UsageError(
            f"Only a camera can be asked for a size or a rate. Received: {shown(source, whole=True)}. "
            "Remedy: leave out `size` and `fps`."
        )
    return turned(_of_path(source, clip), orientation)


def _watched(orientation: Orientation, allow_still: bool, make: Callable[[], Camera]) -> Camera:
    """A live camera that is turned, and opened again when it is lost."""
    return SupervisedCamera(lambda: turned(make(), orientation), allow_still=allow_still)


def _made(source: str, size: tuple[int, int] | None, fps: float | None, orientation: Orientation) -> Camera:
    kind, _, rest = source.partition(":")
    make = _device(source, kind, rest, size, fps, orientation)
    if make is None:
        raise UsageError(f"A camera is picamera2 or a video device. Received: {shown(source, whole=True)}.")
    return make()


def _of_url(url: CameraUrl, size: tuple[int, int] | None, fps: float | None) -> Camera | Callable[[], Camera]:
    """A URL that answers with a file is a video file. Any other URL, also one that does not answer, is a live camera:
    for it, the function that makes it.
    """
    http = url.scheme.startswith("http")
    kind = look(url) if http else None
    away = http and kind is None  # the run may wait for it; its first answer shows whether it has a rate
    if size is not None or (fps is not None and kind is not Kind.PICTURE and not away):
        raise UsageError(
            f"The camera of a stream sets its size and rate. Received: {url.name} with `size` or `fps`. "
            "Remedy: leave them out, and set them at the camera."
        )
    if kind is Kind.FILE:
        return VideoCamera(url)
    return (lambda: HttpCamera(url, fps)) if http else (lambda: stream_camera(url))


def _device(
    source: str, kind: str, rest: str, size: tuple[int, int] | None, fps: float | None, orientation: Orientation
) -> Callable[[], Camera] | None:
    """The function that makes the camera of a device; None if ``source`` names no device."""
    if kind == "picamera2":
        pi = PicameraOptions.parse(rest, PicameraOptions())
        pi = replace(pi, size=size or pi.size, fps=fps or pi.fps)
        return lambda: PicameraCamera(pi, orientation)
    if is_number(kind) or kind.startswith(("/dev/video", "/dev/v4l/")) or _is_character_device(source):
        device, _, said = source.rpartition(":")
        if "=" not in said:  # names under /dev/v4l/by-path have colons of their own
            device, said = source, ""
        asked = V4l2Options.parse(said, V4l2Options(size, fps))
        return lambda: V4l2Camera(device_path(device), asked)
    return None


def _is_character_device(source: str) -> bool:
    """True also for a link such as ``/dev/webcam``, which a udev rule makes."""
    path = Path(source)
    return source.startswith("/dev/") and exists(path) and path.is_char_device()


def _of_path(source: str, clip: bool = False) -> Camera:
    path = Path(source or "(nothing)")
    if is_dir(path) or (is_file(path) and is_picture_file(path)):
        return FolderCamera(path, clip)
    if is_file(path):
        return VideoCamera(path)
    if not may_look(path):
        raise UsageError(
            f"This user must be allowed to enter the folders of a source. Received: {shown(source, whole=True)}: "
            "Permission denied. Remedy: namei -l PATH shows who may; a relative path starts in the current folder."
        )
    received = shown(source, whole=True) or path
    raise UsageError(
        f"A source is {'; '.join(KINDS)}. Received: {received}, which is none of these. Remedy: check the path."
    )
