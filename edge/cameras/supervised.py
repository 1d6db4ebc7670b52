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

_REASONS = 8  # of a wait that are said at most: a log must not fill up
_LOOK = 0.25  # seconds between two looks at a device that is away


@dataclass(frozen=True)
class WatchRules:
    """Time limits of a watched camera, in seconds.

    Attributes:
        silence: without a new frame, until a camera counts as lost; the time of three frames if that is longer.
        opening: until an attempt to open the camera counts as failed.
        first_pause, longest_pause: between two attempts; each failure doubles the pause. A device that is plugged in
            anew is tried at once.
        handing_over: between two attempts while the system does not yet let its users open a new device.
        proven: after a camera has lived this long, the pauses start again with the first.
        pulse: between two looks at a camera that sends nothing.
    """

    silence: float = 3.0
    opening: float = 10.0
    first_pause: float = 0.5
    longest_pause: float = 15.0
    handing_over: float = 0.25
    proven: float = 5.0
    pulse: float = 0.1


class SupervisedCamera(Camera):
    """Frames of a live camera for as long as they are asked for, whatever happens to the device.

    A thread of its own reads the camera, because a driver may hang for ever. A thread that hangs is left alone and
    closes its camera when it wakes; while two hang, no third one starts. Frames of a new size are passed on. ``state``
    says whether the camera delivers; the indices of frames go on when it is opened again.

    Args:
        make: makes the camera, not opened; called again for each attempt.
        rules: the time limits.
        allow_still: accept byte-identical pictures, as from a test pattern or a simulation without noise.

    Attributes:
        wait: whether to wait for a camera that is not there at the start.
        on_found: called with the size of the first frame of a camera that was waited for, by the thread that iterates.

    Raises:
        QuietcamError: (when opened) what the camera raises at the first attempt, unless it is waited for. Later ones
            only count. What waiting cannot change, such as a missing package, is always raised.
    """

    live = True

    def __init__(self, make: Callable[[], Camera], rules: WatchRules | None = None, allow_still: bool = False) -> None:
        super().__init__()
        self.wait = False
        self.on_found: Callable[[tuple[int, int]], None] | None = None
        self._make = make
        self._rules = rules or WatchRules()
        self._allow_still = allow_still
        self._camera = make()  # the first one; its plug tells of all later ones
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
        self._told: set[str] = set()  # why it was waited for
        self._given_up = 0  # frames that earlier readers dropped
        self._last = 0.0  # when the last fresh frame came, monotonic: the other clock may be set meanwhile

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
        """Show why the camera is not there yet, and log each reason once: reasons may change while it waits."""
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
        """For how many seconds the picture has been the same; 0 if that means nothing for this camera."""
        return 0.0 if self._allow_still or reader.frozen_after is None else self._still.seconds(image, now)

    def _welcome(self, frame: Frame, reader: CameraReader, now: float) -> None:
        """The camera delivers: log it if it did not before, or if the size is new."""
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
            # Why it was lost, not what an attempt to open it met meanwhile.
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
            hint = " (if the source never changes, set `allow-still`)" if reason.startswith("the same") else ""
            log.warning(f"{self.name} is lost: {reason}{hint}; trying to open it again")
        elif self.state.waiting:
            self._wait_for(reason)
        elif not self._settling:
            self.state = replace(self.state, reason=reason)
        self._abandon()

    def _abandon(self) -> None:
        """Leave the reader. It closes its camera itself: no other thread may while it reads."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.abandon()
            self._given_up += reader.box.dropped
            self._hanging.append(reader)

    def _pause(self) -> None:
        """Wait before the next attempt, then begin it, unless two readers hang already. A device that is plugged in
        meanwhile ends the wait, and its attempts are counted anew.
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
            self.state = replace(self.state, reason="two readers hang in the driver; restarting quietcam may free it")
            return
        self._start(None)

    def _plugged(self) -> bool:
        """Whether the device appeared or was handed over since this was asked last."""
        before, self._plug = self._plug, self._camera.plug()
        return bool(self._plug) and self._plug != before

    def _start(self, camera: Camera | None) -> None:
        self._reader = CameraReader(camera, self._make)


def _silence(reader: CameraReader, seconds: float) -> str:
    return f"no frame for {seconds:.0f} s" if reader.opened else f"it did not open within {seconds:.0f} s"
