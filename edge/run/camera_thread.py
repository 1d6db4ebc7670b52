"""CameraThread: the thread that reads a camera for the pipeline, and the short queue behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from edge.cameras.base import Camera
from edge.run.frame import Frame
from edge.run.health import Latency
from edge.run.mailbox import Mailbox

__all__ = ["CameraThread", "QueuedFrame"]

_QUEUE = 2  # frames: one to be taken at once, one on its way


class QueuedFrame(NamedTuple):
    """A frame; ``since``: when the sensor took it (from a file: when it was read); ``queued``: when it was queued;
    ``opened``: how often the camera was opened again before it.
    """

    frame: Frame
    since: float
    queued: float
    opened: int = 0


class CameraThread:
    """From a file, every frame in order. From a live camera, the newest frame; older ones are dropped and counted.

    Args:
        camera: an open camera.
        took: called with the seconds that each frame took.
        clock: seconds, monotonic.

    Attributes:
        thread: reads the camera, and closes ``box`` when it ends.
        box: frames that wait for the network.
        error: what ended the thread; None if the camera simply ended.
    """

    def __init__(self, camera: Camera, took: Latency, clock: Callable[[], float]) -> None:
        self.error: BaseException | None = None
        self.box = Mailbox[QueuedFrame](
            1 if camera.live else _QUEUE, newest_wins=camera.live, on_drop=lambda captured: captured.frame.done()
        )
        self.thread = threading.Thread(target=self._run, name="quietcam-capture", daemon=True)
        self._camera, self._took, self._clock = camera, took, clock

    def close(self) -> None:
        """Ask the thread to end. Frames that wait are given back to the camera."""
        self._camera.stop()
        self.box.close()
        while (captured := self.box.get(0)) is not None:
            captured.frame.done()

    def leave(self) -> None:
        """Abandon a thread that has not ended in time: it closes the camera if it ever wakes up."""
        self._camera.busy = True

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            self.error = error
        finally:
            self.box.close()
            if self._camera.busy:
                self._camera.close()

    def _read(self) -> None:
        began = self._clock()
        for frame in self._camera:
            now = self._clock()
            self._took.add(now - began, now)
            since = frame.timestamp if self._camera.live else now
            if not self.box.put(QueuedFrame(frame, since, now, self._camera.state.reopened)):
                frame.done()
                return
            began = self._clock()
