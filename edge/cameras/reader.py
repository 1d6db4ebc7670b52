"""CameraReader: the thread that reads one camera, because a driver may hang forever."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import Callable

from edge.cameras.base import Camera, NotReadyError
from edge.run.frame import Frame
from edge.run.mailbox import Mailbox
from quietcam.errors import one_line
from quietcam.process.stopping import process
from quietcam.terminal.secrets import shown

__all__ = ["CameraReader"]

_AT_EXIT = 4.0  # seconds; a driver that gives no picture answers after 3

_readers: weakref.WeakSet[CameraReader] = weakref.WeakSet()


class CameraReader:
    """Reads one camera in a thread, keeps its newest frame, and closes the camera whatever happens.

    Attributes:
        box: the newest frame.
        opened: the camera is open.
        ended: no more frames come.
        why: why it ended; None while it reads.
        began: when it started, in seconds of the monotonic clock.
        frozen_after: the camera's ``frozen_after``.
        settling: it ended because the device is new and the system does not let users open it yet.
        camera: the camera that is read; None until it is made.
    """

    def __init__(self, camera: Camera | None, make: Callable[[], Camera]) -> None:
        self.box = Mailbox[Frame](1, newest_wins=True, on_drop=lambda frame: frame.done())
        self.opened = camera is not None
        self.why: str | None = None
        self.began = time.monotonic()
        self.frozen_after: float | None = None
        self.settling = False
        self.camera = camera
        self._make = make
        self.thread = threading.Thread(target=self._run, name="quietcam-reader", daemon=True)
        self.thread.start()
        _readers.add(self)

    @property
    def alive(self) -> bool:
        return self.thread.is_alive()

    @property
    def ended(self) -> bool:
        return self.box.ended

    @property
    def silence(self) -> float | None:
        """The camera's ``silence``, which it may learn from its frames."""
        return None if self.camera is None else self.camera.silence

    def abandon(self) -> None:
        """Ask the thread to end as soon as it can, and give back the frames that it still holds."""
        self.box.close()
        camera = self.camera
        if camera is not None:
            camera.stop()
        while (frame := self.box.get(0)) is not None:
            frame.done()

    def _run(self) -> None:
        try:
            self._read()
        except Exception as error:  # noqa: BLE001  whatever a driver does, the camera is opened again
            self.why = shown(one_line(error))
            self.settling = isinstance(error, NotReadyError)
        finally:
            if self.camera is not None:
                with contextlib.suppress(Exception):
                    self.camera.close()
            self.box.close()

    def _read(self) -> None:
        if self.camera is None:
            self.camera = self._make()
            self.camera.open()
            self.opened = True
        self.frozen_after = self.camera.frozen_after
        for frame in self.camera:
            if not self.box.put(frame):
                frame.done()
                return
        self.why = "it ended without an error"


@atexit.register
def _end_all() -> None:
    """Let the readers of a program come out of native code before the interpreter ends: a thread that comes back from
    OpenCV later aborts the process.
    """
    reading = [reader for reader in _readers if reader.alive]
    for reader in reading:
        reader.abandon()
    process.wait([reader.thread for reader in reading], _AT_EXIT)
