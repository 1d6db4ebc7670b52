"""The pipeline: capture, network and sinks at the same time, in threads with short queues between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from edge.cameras.base import Camera
from edge.frame import Frame
from edge.health import Health
from edge.mailbox import Mailbox
from edge.sinks.base import Sink
from quietcam.image import Image

__all__ = ["Pipeline"]

_QUEUE = 2  # frames: one to be taken at once, one on its way


class _Denoises(Protocol):
    def denoise(self, noisy: Image) -> Image: ...


class _Captured(NamedTuple):
    frame: Frame
    since: float  # when the sensor took it; of a file: when it was read
    queued: float


class _Denoised(NamedTuple):
    frame: Frame
    since: float
    image: Image


class Pipeline:
    """Brings frames from a camera through a denoiser into sinks, all of them open already. Runs once.

    Files: every frame, in order, at the pace of the slowest. Live cameras: where the network is busy the
    newest frame waits, and older ones are dropped and counted. The network runs in the caller's thread.

    Args:
        camera, denoiser, sinks: whose parts are played.
        clock: seconds, monotonic; the one of a live camera's timestamps.

    Example:
        >>> with open_camera("clip.mp4") as camera, Denoiser(model) as denoiser, open_sink("out") as sink:
        ...     health = Pipeline(camera, denoiser, [sink]).run()
    """

    def __init__(
        self,
        camera: Camera,
        denoiser: _Denoises,
        sinks: Sequence[Sink],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.health = Health()
        self._camera = camera
        self._denoiser = denoiser
        self._sinks = sinks
        self._clock = clock
        self._captured = Mailbox[_Captured](1 if camera.live else _QUEUE, newest_wins=camera.live)
        self._denoised = Mailbox[_Denoised](_QUEUE)

    def run(self, frames: int | None = None, on_frame: Callable[[Health], None] | None = None) -> Health:
        """Run until the camera ends, ``frames`` went through, an error or Ctrl-C; then all threads have ended.

        Args:
            frames: how many to denoise at most.
            on_frame: called after each denoised frame, in the caller's thread.

        Raises:
            QuietcamError: what a camera, the model or a sink raised.
            KeyboardInterrupt: on Ctrl-C, after the sinks took what was denoised.
        """
        start = self._clock()
        capture = _Worker("capture", self._capture, self._captured)
        sinks = _Worker("sinks", self._write, self._denoised)
        try:
            capture.start()
            sinks.start()
            self._denoise(frames, on_frame)
        finally:
            self._captured.close()
            self._denoised.close()
            for worker in (capture, sinks):
                worker.finish()
            self.health.dropped = self._captured.dropped
            self.health.seconds = self._clock() - start
        for worker in (capture, sinks):
            if worker.error is not None:
                raise worker.error
        return self.health

    def _denoise(self, frames: int | None, on_frame: Callable[[Health], None] | None) -> None:
        done = 0
        while (frames is None or done < frames) and (captured := self._captured.get()) is not None:
            began = self._clock()
            self.health.stages["wait"].add(began - captured.queued)
            image = self._denoiser.denoise(captured.frame.image)
            self.health.stages["denoise"].add(self._clock() - began)
            if not self._denoised.put(_Denoised(captured.frame, captured.since, image)):
                return
            done += 1
            if on_frame is not None:
                on_frame(self.health)

    def _capture(self) -> None:
        began = self._clock()
        for frame in self._camera:
            now = self._clock()
            self.health.stages["capture"].add(now - began)
            since = frame.timestamp if self._camera.live else now
            if not self._captured.put(_Captured(frame, since, now)):
                return
            began = self._clock()

    def _write(self) -> None:
        while (denoised := self._denoised.get()) is not None:
            began = self._clock()
            for sink in self._sinks:
                sink.write(denoised.frame, denoised.image)
            now = self._clock()
            self.health.stages["sink"].add(now - began)
            self.health.stages["end_to_end"].add(now - denoised.since)
            self.health.frames += 1


class _Worker:
    """A thread that closes its mailbox when it ends, and keeps the error that ended it."""

    def __init__(self, name: str, work: Callable[[], None], mailbox: Mailbox[_Captured] | Mailbox[_Denoised]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._mailbox = mailbox
        self._thread = threading.Thread(target=self._run, name=f"quietcam-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Wait for its end, if it ever began."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            self.error = error
        finally:
            self._mailbox.close()
