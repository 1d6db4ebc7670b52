"""SupervisedCamera: watches a live camera and opens it again when it vanishes, freezes or falls silent."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from edge.cameras.base import Camera, CameraState
from edge.cameras.reader import CameraReader
from edge.cameras.stillness import Stillness
from edge.run.frame import Frame
from quietcam.backoff import Backoff
from quietcam.errors import MissingExtraError, QuietcamError, one_line
from quietcam.image import Image
from quietcam.process.stopping import process
from quietcam.terminal.log import log
from quietcam.terminal.secrets import shown

__all__ = ["SupervisedCamera", "WatchRules"]

_REASONS = 8  # most reasons that one wait logs, so that the log does not fill up
_LOOK = 0.25  # seconds between two checks whether a missing device has returned


@dataclass(frozen=True)
class WatchRules:
    """Time limits of a watched camera, in seconds.

    Attributes:
        silence: time without a new frame after which a camera counts as lost; the time of three frames if that is
            longer.
        opening: time after which an attempt to open the camera counts as failed.
        first_pause, longest_pause: time between two attempts; each failure doubles it. A device that is plugged in
            again is tried immediately.
        handing_over: time between two attempts while the system does not let users open a new device yet.
        proven: once a camera has delivered for this long, the next pause is the first one again.
        pulse: time between two checks of a camera that sends nothing.
    """

    silence: float = 3.0
    opening: float = 10.0
    first_pause: float = 0.5
    longest_pause: float = 15.0
    handing_over: float = 0.25
    proven: float = 5.0
    pulse: float = 0.1


class SupervisedCamera(Camera):
    """Frames of a live camera until the caller stops iterating, even if the device fails in between.

    A separate thread reads the camera, because a driver may hang forever. A thread that hangs is abandoned, and closes
    its camera when it wakes; while two threads hang, no third one starts. Frames of a new size are passed on. ``state``
    says whether the camera delivers. When it is opened again, the indices of its frames continue.

    Args:
        make: makes the camera, not opened; called again for each attempt.
        rules: the time limits.
        allow_still: accept byte-identical pictures, such as those of a test pattern or of a simulation without noise.

    Attributes:
        wait: whether to wait for a camera that is missing at the start.
        on_found: called with the size of the first frame of a camera that was waited for, by the thread that iterates.

    Raises:
        QuietcamError: (when opened) the error of the first attempt, unless ``wait`` is set. Errors of later attempts
            are not raised. An error that waiting cannot cure, such as a missing package, is always raised.
    """

    live = True

    def __init__(self, make: Callable[[], Camera], rules: WatchRules | None = None, allow_still: bool = False) -> None:
        super().__init__()
        self.wait = False
        self.on_found: Callable[[tuple[int, int]], None] | None = None
        self._make = make
        self._rules = rules or WatchRules()
        self._allow_still = allow_still
        self._camera = make()  # the first one; its ``plug`` also serves for all later ones
        self._first: Camera | None = self._camera
        self.name = self._first.name
        self.fps = self._first.fps
        self._size = self._first.size
        self._plug: object = None
        self._lost_for: str | None = None
        self._reader: CameraReader | None = None
        self._hanging: list[CameraReader] = []
        self._stopped = threading.Event()
        self._still = Stillness()
        self._backoff = Backoff(self._rules.first_pause, self._rules.longest_pause)
        self._settling = False
        self._told: set[str] = set()  # the reasons for waiting that were logged
        self._given_up = 0  # frames that earlier readers dropped
        self._last = 0.0  # when the last fresh frame came, by the monotonic clock, which nobody can set

    @property
    def size(self) -> tuple[int, int] | None:
        return self._size

    def open(self) -> None:
        if self._reader is not None or self._first is None:
            return
        camera, self._first = self._first, None
        self._plug = camera.plug()
        try:
            camera.open()
        except MissingExtraError:
            raise
        except QuietcamError as error:
            if not self.wait:
                raise
            self._await(camera, error)
            return
        self.name, self.fps, self._size = camera.name, camera.fps, camera.size
        self.isp_denoise = camera.isp_denoise
        self.state = CameraState(since=time.time())
        self._start(camera)

    def _await(self, camera: Camera, error: QuietcamError) -> None:
        with contextlib.suppress(Exception):
            camera.close()
        self.state = CameraState("lost", time.time(), waiting=True)
        self._wait_for(shown(one_line(error)))

    def _wait_for(self, reason: str) -> None:
        """Show why the camera is missing, and log each reason once: the reason may change while the run waits."""
        self.state = replace(self.state, reason=f"waiting for a camera: {reason}")
        if reason not in self._told and len(self._told) < _REASONS:
            self._told.add(reason)
            log.warning(f"Waiting for a camera: {reason}")

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._stopped.set()
        if self._first is not None:
            self._first.close()
        if self._reader is not None:
            self._abandon()
        process.wait([reader.thread for reader in self._hanging], 1.0)
        self._hanging = [reader for reader in self._hanging if reader.alive]

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        given = 0
        heard = fresh = time.monotonic()
        while not self._stopped.is_set():
            reader = self._reader
            if reader is None:
                self._pause()
                heard = time.monotonic()
                continue
            frame = reader.box.get(self._rules.pulse)
            now = time.monotonic()
            if frame is None:
                if reader.ended or now - heard > self._patience(reader):
                    self._settling = reader.settling
                    self._lose(reader.why or _silence(reader, now - heard), fresh, now)
                continue
            heard = now
            unchanged = self._unchanged(frame.image, reader, now)
            fresh = now - unchanged
            if reader.frozen_after is not None and unchanged > reader.frozen_after:
                frame.done()
                self._lose(f"the same picture for {unchanged:.0f} s", fresh, now)
                continue
            self._welcome(frame, reader, now)
            self.dropped = self._given_up + reader.box.dropped
            yield replace(frame, index=given + self.dropped)
            given += 1

    def _patience(self, reader: CameraReader) -> float:
        if not reader.opened:
            return self._rules.opening
        return max(self._rules.silence, reader.silence or 0.0, 3.0 / self.fps if self.fps else 0.0)

    def _unchanged(self, image: Image, reader: CameraReader, now: float) -> float:
        """For how many seconds the picture has been the same; 0 if this camera may repeat its picture."""
        return 0.0 if self._allow_still or reader.frozen_after is None else self._still.seconds(image, now)

    def _welcome(self, frame: Frame, reader: CameraReader, now: float) -> None:
        """Log that the camera delivers, if it did not before, or that its size is new."""
        size = frame.image.shape[1], frame.image.shape[0]
        if self.state.waiting:
            self.state = CameraState(since=time.time())
            camera = reader.camera
            if camera is not None:
                self.name, self.fps, self.isp_denoise = camera.name, camera.fps, camera.isp_denoise
            log.info(f"{self.name} is there, {size[0]}x{size[1]}")
            if self.on_found is not None:
                self.on_found(size)
        elif self.state.state == "lost":
            away = now - self._last
            # The reason why it was lost; attempts to open it may have failed for other reasons since.
            self.state = CameraState("live", time.time(), self.state.reopened + 1, self._lost_for)
            log.warning(f"{self.name} is back after {away:.0f} s, {size[0]}x{size[1]}")
        elif self._size is not None and size != self._size:
            log.warning(f"{self.name} now delivers {size[0]}x{size[1]}, before {self._size[0]}x{self._size[1]}")
        self._size = size
        if now - reader.began > self._rules.proven:
            self._backoff.reset()

    def _lose(self, reason: str, fresh: float, now: float) -> None:
        if self.state.state == "live":
            self._last, self._lost_for = fresh, reason
            self.state = replace(self.state, state="lost", since=time.time() - (now - fresh), reason=reason)
            hint = " (if the source never changes, set `allow_still`)" if reason.startswith("the same") else ""
            log.warning(f"{self.name} is lost: {reason}{hint}; trying to open it again")
        elif self.state.waiting:
            self._wait_for(reason)
        elif not self._settling:
            self.state = replace(self.state, reason=reason)
        self._abandon()

    def _abandon(self) -> None:
        """Abandon the reader, which closes its camera itself: no other thread may do so while it reads."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.abandon()
            self._given_up += reader.box.dropped
            self._hanging.append(reader)

    def _pause(self) -> None:
        """Wait, then make the next attempt, unless two readers hang already. If the device is plugged in again, the
        wait ends and the count of attempts starts again.
        """
        pause = self._rules.handing_over if self._settling else self._backoff.failed()
        self._settling = False
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0 and not self._stopped.wait(min(left, _LOOK)):
            if self._plugged():
                self._backoff.reset()
                break
        self._hanging = [reader for reader in self._hanging if reader.alive]
        if self._stopped.is_set():
            return
        if len(self._hanging) > 1:
            self.state = replace(self.state, reason="two readers hang in the driver; a restart of quietcam may help")
            return
        self._start(None)

    def _plugged(self) -> bool:
        """Whether the device has appeared or become accessible since the last call."""
        before, self._plug = self._plug, self._camera.plug()
        return bool(self._plug) and self._plug != before

    def _start(self, camera: Camera | None) -> None:
        self._reader = CameraReader(camera, self._make)


def _silence(reader: CameraReader, seconds: float) -> str:
    return f"no frame for {seconds:.0f} s" if reader.opened else f"it did not open within {seconds:.0f} s"
