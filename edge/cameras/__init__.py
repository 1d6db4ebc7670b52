"""Cameras: sources of frames, one file a backend."""

from __future__ import annotations

from pathlib import Path

from edge.cameras.base import Camera
from edge.cameras.folder import FolderCamera
from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.cameras.video import VideoCamera
from quietcam.data.pictures import is_picture
from quietcam.errors import UsageError

__all__ = ["KINDS", "Camera", "open_camera"]

KINDS = (
    "a folder of pictures",
    "a picture",
    "a video file",
    "synthetic (or synthetic:size=640x480,fps=30,sensor=imx219,gain=16,seed=0,frames=100,base=PATH)",
)


def open_camera(source: str) -> Camera:
    """The camera that ``source`` means, not yet opened: enter it as a context manager.

    Raises:
        UsageError: it means none; the message lists the kinds.
        DataError: it is a folder without pictures.
    """
    kind, _, rest = source.partition(":")
    if kind == "synthetic":
        options = SyntheticOptions.parse(rest)
        return SyntheticCamera(options, None if options.base is None else _of_path(str(options.base)))
    return _of_path(source)


def _of_path(source: str) -> Camera:
    path = Path(source or "(nothing)")
    if path.is_dir() or (path.is_file() and is_picture(path)):
        return FolderCamera(path)
    if path.is_file():
        return VideoCamera(path)
    raise UsageError(
        f"A source is {'; '.join(KINDS)}. Received: {source or path}, which is none of these. Remedy: check the path."
    )
