"""TurnedCamera: another camera's frames, rotated and flipped before anything else sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from edge.cameras.base import Camera
from edge.cameras.orientation import UPRIGHT, Orientation
from edge.run.buffers import BufferPool
from edge.run.frame import Frame

__all__ = ["TurnedCamera", "turned"]


class TurnedCamera(Camera):
    """Behaves as ``camera``, with turned frames. A camera that turns its pictures itself costs nothing here.

    Other frames are copied, turned, into memory that is used again, so ``camera`` has its own memory back at once.

    Args:
        orientation: how the frames are to come out.
    """

    def __init__(self, camera: Camera, orientation: Orientation) -> None:
        super().__init__()
        self._camera, self._orientation = camera, orientation
        self._pool = BufferPool()
        self.live, self.still, self.skipped = camera.live, camera.still, camera.skipped
        self._follow()

    @property
    def size(self) -> tuple[int, int] | None:
        size = self._camera.size
        if size is None:
            return None
        width, height = size
        return (height, width) if self._missing().transposed else (width, height)

    def open(self) -> None:
        self._camera.open()
        self._follow()

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._camera:
            self._follow()
            yield self._turned(frame)

    def count(self) -> int | None:
        return self._camera.count()

    def plug(self) -> object:
        return self._camera.plug()

    def stop(self) -> None:
        self._camera.stop()

    def close(self) -> None:
        self._camera.close()

    def _follow(self) -> None:
        """Take over what may change when the camera is opened, and from frame to frame."""
        camera = self._camera
        self.name, self.fps, self.total, self.state = camera.name, camera.fps, camera.total, camera.state
        self.frozen_after, self.silence = camera.frozen_after, camera.silence
        self.dropped, self.isp_denoise = camera.dropped, camera.isp_denoise

    def _missing(self) -> Orientation:
        """What the camera has not done itself. A camera turns as it was asked to, or not at all."""
        return UPRIGHT if self._camera.turned == self._orientation else self._orientation

    def _turned(self, frame: Frame) -> Frame:
        missing = self._missing()
        if missing == UPRIGHT:
            return frame
        image = self._pool.take(missing.shape(frame.image.shape))
        missing.turn(frame.image, image)
        frame.done()
        return replace(frame, image=image, release=partial(self._pool.give, image))


def turned(camera: Camera, orientation: Orientation) -> Camera:
    """``camera``, or a camera that gives its frames in this orientation."""
    return camera if orientation == UPRIGHT else TurnedCamera(camera, orientation)
