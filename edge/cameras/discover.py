"""The camera that a command uses when the user names none: the first one of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge.cameras.base import Camera
from edge.cameras.picamera.library import list_picameras
from edge.cameras.v4l2.devices import VideoDevice, list_devices
from edge.run.frame import Frame
from quietcam.errors import MissingExtraError, UsageError

__all__ = ["FoundCamera", "find_camera"]


class FoundCamera(Camera):
    """The first camera of this machine, looked for when it is opened.

    Args:
        make: makes the camera from the name that ``find`` returns.
        find: finds the name of a camera. Defaults to ``find_camera``.
        folder: where video devices appear.

    Raises:
        UsageError: (when opened) the machine has no camera.
    """

    name = "the camera"
    live = True

    def __init__(
        self,
        make: Callable[[str], Camera],
        find: Callable[[], str] | None = None,
        folder: Path = Path("/dev"),
    ) -> None:
        super().__init__()
        self._make = make
        self._find = find or find_camera
        self._folder = folder
        self._camera: Camera | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self._camera is None else self._camera.size

    def open(self) -> None:
        if self._camera is not None:
            return
        camera = self._make(self._find())
        camera.open()
        self._camera = camera
        self.name, self.fps, self.isp_denoise = camera.name, camera.fps, camera.isp_denoise
        self.frozen_after, self.silence, self.turned = camera.frozen_after, camera.silence, camera.turned

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        if self._camera is not None:
            yield from self._camera

    def plug(self) -> object:
        nodes = []
        for path in sorted(self._folder.glob("video*")):
            with contextlib.suppress(OSError):
                node = path.stat()
                nodes.append((path.name, node.st_ino, node.st_ctime_ns, node.st_mode, node.st_gid))
        return tuple(nodes)

    def stop(self) -> None:
        if self._camera is not None:
            self._camera.stop()

    def close(self) -> None:
        if self._camera is not None:
            self._camera.close()


def find_camera(
    picameras: Callable[[], list[Any]] | None = None, devices: Callable[[], list[VideoDevice]] | None = None
) -> str:
    """The ``source`` of the first camera: picamera2 if it sees a camera, else the first video device with pictures.

    Raises:
        UsageError: the machine has no camera; the message says what to do.
    """
    missing: MissingExtraError | None = None
    try:
        if (picameras or list_picameras)():
            return "picamera2"
    except MissingExtraError as error:
        missing = error
    there = (devices or list_devices)()
    for device in there:
        if device.captures and not (device.raw or device.loopback):  # a loopback shows what quietcam itself may write
            return str(device.path)
    if missing is not None and any(device.raw for device in there):
        raise UsageError(f"The camera at the ribbon cable needs picamera2. {missing}") from missing
    raise UsageError(
        "Without `source`, a camera must be plugged in. Received: no `source`, and neither picamera2 nor /dev/video* "
        "has a camera. Remedy: plug one in, or set `source` to rtsp://…, to a video file or a folder of pictures, or "
        "to synthetic, which simulates a camera."
    )
