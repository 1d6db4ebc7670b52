"""The pipeline: runs camera, network and sinks at the same time, in threads with short queues between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.cameras.base import Camera
from edge.network.frame_denoiser import FrameDenoiser, Plan
from edge.network.runtime import gil_window
from edge.network.treatment import Rung, Treated, Treatment
from edge.run.buffers import BufferPool
from edge.run.camera_thread import CameraThread, QueuedFrame
from edge.run.frame import Frame
from edge.run.health import Health
from edge.run.sink_thread import SinkThread, Slot
from edge.sinks.base import Sink
from quietcam.errors import one_line
from quietcam.image import Image
from quietcam.process.stopping import process
from quietcam.terminal.log import log

__all__ = ["Pipeline"]

_LOOK = 0.01  # seconds between two checks whether the sinks are open
_PULSE = 0.25  # seconds after which a wait for a frame checks whether it should stop
_GRACE = 1.5  # seconds that sinks have to end when the run is stopped, but not by a signal
_SOON = 0.3  # seconds that the thread of a camera has to end
_SHAPES = 8  # kinds of frames whose shape is remembered: by camera and plan there are two or three


class Pipeline:
    """Brings frames from a camera through a denoiser into sinks. Runs once.

    From a file, every frame is processed in order, at the pace of the slowest part, and any error ends the run. From a
    live camera, the newest frame waits while the network or a sink is busy; older frames are dropped and counted. A
    sink or a network that fails after it has worked does not stop the others. The network runs in the caller's thread,
    each sink in its own thread. The memory of denoised frames is used again.

    While the denoiser plans less than full treatment, the pipeline asks each sink before a frame whether it keeps
    that frame as a picture (``Sink.wants``). Such a frame gets all of the network. Where frames pass unchanged, the
    other sinks get this frame unchanged, too, so that a video does not blink. If not, they get the denoised frame.

    Args:
        camera, denoiser, sinks: open ones, except that sinks are not open yet if ``opens`` is set.
        clock: seconds, monotonic; the clock of a live camera's timestamps.
        opens: the pipeline opens the sinks, all at the same time, each in its thread. A disk that hangs delays nothing
            else.

    Attributes:
        health: counts and times, for any thread.

    Example:
        >>> with open_camera("clip.mp4") as camera, Denoiser(model) as denoiser, open_sink("out") as sink:
        ...     health = Pipeline(camera, denoiser, [sink]).run()
    """

    def __init__(
        self,
        camera: Camera,
        denoiser: FrameDenoiser,
        sinks: Sequence[Sink],
        clock: Callable[[], float] = time.monotonic,
        opens: bool = False,
    ) -> None:
        self.health = Health(clock)
        self._camera = camera
        self._denoiser = denoiser
        self._clock = clock
        self._camera_thread = CameraThread(camera, self.health.stages["capture"], clock)
        alone = sum(not sink.observer for sink in sinks) == 1
        self._sink_threads = [SinkThread(sink, camera.live, alone, clock, self.health.report, opens) for sink in sinks]
        self._pool = BufferPool()
        self._shapes: dict[tuple[Rung, tuple[int, ...]], tuple[int, ...]] = {}
        self._lock = threading.Lock()
        self._lost = 0  # frames that no sink took, or that were left out
        self._started = self._stopping = False
        self._worked = False  # the network, at least once
        self._connect_health()

    def open(self) -> None:
        """Start the sinks and wait until they are open, but only for a few seconds: a slower sink loses frames until it
        is open. They are counted, and ``health`` shows it. ``run`` calls this if nobody did.

        Raises:
            QuietcamError: an error of a sink. All threads have ended, except one that hangs.
        """
        if self._started:
            return
        self._started = True
        try:
            for each in self._sink_threads:
                each.start()
            while not (self._stopping or self._sinks_ended()) and any(each.awaited for each in self._sink_threads):
                time.sleep(_LOOK)
            self._raise_errors()
        except BaseException as error:
            self._finish(whole=False, keep=isinstance(error, KeyboardInterrupt))
            raise

    def run(self, frames: int | None = None, on_frame: Callable[[Health], None] | None = None) -> Health:
        """Run until the camera ends, ``frames`` are denoised, or ``stop``, an error or Ctrl-C ends it.

        At the end all threads have ended, except one that hangs in a driver.

        Args:
            frames: most frames to denoise.
            on_frame: called after each denoised frame, in the caller's thread.

        Raises:
            QuietcamError: what a camera, the model or a sink raised.
            KeyboardInterrupt: on Ctrl-C, after the sinks took the frames that were denoised.
        """
        self.open()
        self.health.began()
        whole = keep = False
        try:
            self._camera_thread.thread.start()
            self._denoise(frames, on_frame)
            whole = not self._stopping
            keep = self._camera_thread.error is None and not any(each.error for each in self._sink_threads)
        except KeyboardInterrupt:
            keep = True
            raise
        finally:
            self._finish(whole, keep)
        self._raise_errors()
        return self.health

    def stop(self) -> None:
        """Make ``run`` end soon, as if the camera had ended. The sinks take the frames that are denoised. Returns at
        once and may be called twice, by any thread and by signal handlers.
        """
        self._stopping = True

    def end(self) -> None:
        """Like ``stop``, but works while the network hangs, too: the sinks take the frames that are denoised and are
        finished. For any thread, but not for signal handlers.
        """
        self._stopping = True
        self._camera_thread.box.close()
        for each in self._sink_threads:
            each.close(keep=True)
            each.sink.stop()

    def _denoise(self, frames: int | None, on_frame: Callable[[Health], None] | None) -> None:
        done = 0
        while (frames is None or done < frames) and not self._stopping:
            captured = self._camera_thread.box.get(_PULSE)
            if captured is None:
                self._denoiser.idle(self._clock())
                if self._camera_thread.box.ended or self._sinks_ended():
                    return
                continue
            if not self._work(captured):
                continue
            if self._sinks_ended():
                return
            done += 1
            if on_frame is not None:
                on_frame(self.health)

    def _work(self, captured: QueuedFrame) -> bool:
        """Denoise a frame and give it to the sinks; False if it is left out."""
        frame, began = captured.frame, self._clock()
        self._denoiser.coming(frame.timestamp, captured.opened)
        plan = self._denoiser.plan(began)
        asking = [] if plan.rung is Rung.FULL else [each.wants(frame) for each in self._sink_threads]
        kept = any(asking)
        if plan.left_out and not kept:
            frame.done()
            with self._lock:
                self._lost += 1
            return False
        self.health.stages["wait"].add(began - captured.queued, began)
        (image, treatment), pooled = self._one(frame, Plan() if kept else plan, kept)
        now = self._clock()
        self._denoiser.done(None if kept else now - captured.since)  # a picture that is kept may take its time
        if treatment.model is not None:
            self.health.stages["denoise"].add(now - began, now)
        frame = replace(frame, treatment=treatment)
        passed = replace(frame, treatment=plan.passes) if kept and plan.passes is not None else None
        self.health.treated(now, treatment, treatment if plan.passes is None else plan.passes)
        slot = Slot(frame, image, pooled, captured.since, now, len(self._sink_threads), self._end)
        for index, each in enumerate(self._sink_threads):
            each.put(slot, None if passed is None or asking[index] else passed)
        if not self._sink_threads:
            slot.done(True)
        return True

    def _one(self, frame: Frame, plan: Plan, whole: bool) -> tuple[Treated, bool]:
        """Denoise a frame; also returns whether the result lies in the pool's memory.

        If the network of a live run fails after it has worked, the frame is returned unchanged.
        """
        if plan.passes is not None:
            return Treated(frame.image, plan.passes), False
        try:
            treated, pooled = self._treat(frame.image, plan.rung, whole)
        except Exception as error:  # whatever fails, a live view continues
            if not self._camera.live or not self._worked:
                raise
            since = time.time()
            if self.health.failing is None:
                log.error("The network fails, frames pass unchanged: %s", one_line(error))
            else:
                since = self.health.failing[1]
            self.health.failing = one_line(error), since
            return Treated(frame.image, Treatment(plan.rung, why="the network fails")), False
        self._worked = True
        if self.health.failing is not None:
            self.health.failing = None
            log.info("The network works again")
        return treated, pooled

    def _treat(self, noisy: Image, rung: Rung, whole: bool) -> tuple[Treated, bool]:
        # The shape of the result is known after the first frame: a color model turns one channel into three.
        key = rung, noisy.shape
        shape = self._shapes.get(key)
        out = None if shape is None else self._pool.take(shape)
        treat = self._denoiser.treat_whole if whole else self._denoiser.treat
        treated = treat(noisy, out)
        if out is not None and treated.image is out:
            return treated, True
        if out is not None:
            self._pool.give(out)  # another model took over, and its frames have another shape
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        self._shapes[key] = treated.image.shape
        return treated, False

    def _end(self, slot: Slot, written: bool) -> None:
        """Note that all sinks are done with a frame."""
        now = self._clock()
        with self._lock:
            if written:
                self.health.stages["sink"].add(now - slot.ready, now)
                self.health.stages["end_to_end"].add(now - slot.since, now)
                self.health.written(now)
            else:
                self._lost += 1
        if slot.pooled:
            self._pool.give(slot.image)
        slot.frame.done()

    def _finish(self, whole: bool, keep: bool) -> None:
        """End all threads, first those of the sinks. ``whole``: they may write everything; if False, they end soon."""
        process.ends_itself()
        if not whole:
            self._denoiser.end()
        for each in self._sink_threads:
            each.close(keep)
            if not whole:
                each.sink.stop()
        self._camera_thread.close()

        def hurried() -> bool:  # a sink that is still being opened has nothing to finish
            at_work = any(each.opened and each.thread.is_alive() for each in self._sink_threads)
            return not whole or self._stopping or not at_work

        late: list[threading.Thread] = []
        try:
            late = process.wait([each.thread for each in self._sink_threads], _GRACE, hurried, sinks=True)
        except KeyboardInterrupt:  # while a sink waits for its reader
            self.end()
            late = process.wait([each.thread for each in self._sink_threads], _GRACE, sinks=True)
            raise
        finally:
            for each in self._sink_threads:
                if each.thread in late:
                    each.leave()
        # A file's reader ends by itself, unless its disk hangs. A live camera ends its own readers.
        late = process.wait([self._camera_thread.thread], _SOON, lambda: self._camera.live or hurried())
        if late and not self._camera.live:
            self._camera_thread.leave()
        gil_window.no_more_invokes()
        self.health.ended()

    def _raise_errors(self) -> None:
        for error in (self._camera_thread.error, *(each.error for each in self._sink_threads)):
            if error is not None:
                raise error

    def _sinks_ended(self) -> bool:
        """Whether a sink ended with an error, or no sink takes frames any more."""
        return any(each.error for each in self._sink_threads) or (
            bool(self._sink_threads) and all(each.ended for each in self._sink_threads)
        )

    def _dropped(self) -> int:
        return self._camera_thread.box.dropped + self._camera.dropped + self._lost

    def _connect_health(self) -> None:
        """Connect the parts to ``health``."""
        self.health.watch("camera", lambda: self._camera.state.report())
        self.health.watch("sinks", lambda: [each.report() for each in self._sink_threads])
        self.health.count_dropped(self._dropped)
        self.health.watch_all(self._denoiser.report)
