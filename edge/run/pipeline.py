"""The pipeline: capture, network and sinks at the same time, in threads with short queues between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.cameras.base import Camera
from edge.network import gil_window
from edge.network.treatment import Rung, Treated, Treatment
from edge.run.buffers import BufferPool
from edge.run.camera_thread import CameraThread
from edge.run.degrade import Degrader, Denoises
from edge.run.frame import Frame
from edge.run.health import Health
from edge.run.sink_thread import SinkThread, Slot
from edge.run.temperature import Thermometer
from edge.sinks.base import Sink
from quietcam.errors import one_line
from quietcam.image import Image
from quietcam.process.stopping import process
from quietcam.terminal.progress import say

__all__ = ["Pipeline"]

_LOOK = 0.01  # seconds between two looks whether the sinks are open
_PULSE = 0.25  # seconds after which a wait for a frame looks whether it is to stop
_GRACE = 1.5  # seconds that sinks have to end when the run is stopped
_SOON = 0.3  # seconds that other threads have
_PASSED = Treatment(Rung.PASS_THROUGH, why="the ladder lets frames pass as they are")
_SHAPES = 8  # kinds of frames whose shape is remembered: by step and camera there are two or three


class Pipeline:
    """Brings frames from a camera through a denoiser into sinks. Runs once.

    Files: every frame, in order, at the pace of the slowest, and any error ends the run. Live cameras: where the
    network or a sink is busy the newest frame waits, and older ones are dropped and counted; a sink or a network that
    fails after it worked does not stop the others. The network runs in the caller's thread, each sink in one of its
    own. Denoised frames lie in memory that is used again.

    While the ladder takes work away, each sink is asked before a frame whether it keeps that one as a picture
    (``Sink.wants``). Such a frame gets all of the network. Where frames pass as they are the other sinks get this one
    as it is, too, so that a video does not blink; else they get what was made of it.

    Args:
        camera, denoiser, sinks: whose parts are played, open already.
        clock: seconds, monotonic; the one of a live camera's timestamps.
        degrade: takes work away under heat; None: never.
        opens: the sinks are opened here, all at once, each in its thread: a disk that hangs holds up nothing else.

    Attributes:
        health: what is counted and timed, for any thread.
        over: the run has ended, and nothing is taken up any more.

    Example:
        >>> with open_camera("clip.mp4") as camera, Denoiser(model) as denoiser, open_sink("out") as sink:
        ...     health = Pipeline(camera, denoiser, [sink]).run()
    """

    def __init__(
        self,
        camera: Camera,
        denoiser: Denoises,
        sinks: Sequence[Sink],
        clock: Callable[[], float] = time.monotonic,
        degrade: Degrader | None = None,
        opens: bool = False,
    ) -> None:
        self.health = Health(clock)
        self._camera = camera
        self._denoiser = denoiser
        self._clock = clock
        self._degrade = degrade
        self._camera_thread = CameraThread(camera, self.health.stages["capture"], clock)
        alone = sum(not sink.observer for sink in sinks) == 1
        self._sink_threads = [SinkThread(sink, camera.live, alone, clock, self.health.report, opens) for sink in sinks]
        self._thermometer = Thermometer() if degrade is None else degrade.thermometer
        self._pool = BufferPool()
        self._shapes: dict[tuple[Rung, tuple[int, ...]], tuple[int, ...]] = {}
        self._lock = threading.Lock()
        self._lost = 0  # frames that no sink took, or that the ladder left out
        self._started = self._stopping = self.over = False
        self._wanted: Path | str | None = None
        self._reloading = threading.Thread()  # replaced by each reload
        self._refused = False  # what was asked for last, before it came to a model
        self._last: Denoises | None = None  # what worked on the last frame
        self._worked = False  # the network, at least once
        self._broken: str | None = None  # why it fails now
        self._broken_since = 0.0
        self._watch()

    def open(self) -> None:
        """Begin with the sinks, and wait until they are open. One that needs longer than a few seconds is not waited
        for: it loses frames until then, counted, and ``health`` says so. ``run`` does this where nobody did.

        Raises:
            QuietcamError: what a sink raised meanwhile. All threads have ended then, but for one that hangs.
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
        """Run until the camera ends, ``frames`` went through, ``stop``, an error or Ctrl-C.

        All threads have ended then, but for one that hangs in a driver.

        Args:
            frames: how many to denoise at most.
            on_frame: called after each denoised frame, in the caller's thread.

        Raises:
            QuietcamError: what a camera, the model or a sink raised.
            KeyboardInterrupt: on Ctrl-C, after the sinks took what was denoised.
        """
        self.open()
        self.health.began()
        whole = keep = False
        try:
            self._camera_thread.thread.start()
            self._thermometer.start()
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
        """Let ``run`` end soon, as if the camera had ended; the sinks take what is denoised. Returns at once, may be
        called twice, by any thread and by signal handlers.
        """
        self._stopping = True

    def end(self) -> None:
        """As ``stop``, also where the network hangs: the sinks take what is denoised, and are finished. For any thread,
        but not for signal handlers.
        """
        self._stopping = True
        self._camera_thread.box.close()
        for each in self._sink_threads:
            each.close(keep=True)
            each.sink.stop()

    def request_reload(self, model: Path | str) -> None:
        """Let another model take over between two frames, after it ran one in a process of its own. No frame waits for
        that. One that cannot be used is said and shown in ``health``, and the old one goes on. Returns at once; for
        any thread and for signal handlers.
        """
        self._refused = False
        self._wanted = model

    def refuse_reload(self, reason: str) -> None:
        """Show in ``health`` that a reload was refused before it came to a model, until the next one: also where one
        that was asked for earlier ends later.
        """
        self._refused = True
        self.health.reload_error = reason

    def _denoise(self, frames: int | None, on_frame: Callable[[Health], None] | None) -> None:
        done = 0
        while (frames is None or done < frames) and not self._stopping:
            captured = self._camera_thread.box.get(_PULSE)
            if self._degrade is not None:
                self._degrade.tick(self._clock())
            if captured is None:
                self._begin_reload()
                if self._camera_thread.box.ended or self._sinks_ended():
                    return
                continue
            began = self._clock()
            frame = captured.frame
            step = Rung.FULL if self._degrade is None else self._degrade.step
            asking = [] if step is Rung.FULL else [each.wants(frame) for each in self._sink_threads]
            asked = any(asking)
            if self._degrade is not None and self._degrade.leaves_out() and not asked:
                frame.done()
                with self._lock:
                    self._lost += 1
                continue
            self.health.stages["wait"].add(began - captured.queued, began)
            (image, treatment), pooled = self._one(frame, Rung.FULL if asked else step)
            self._begin_reload()  # now the denoiser knows how large the frames are
            now = self._clock()
            if treatment.model is not None:
                self.health.stages["denoise"].add(now - began, now)
            if self._degrade is not None and not asked:  # such a frame is rare, and may take its time
                self._degrade.saw(now - captured.since)
            frame = replace(frame, treatment=treatment)
            passed = replace(frame, treatment=_PASSED) if asked and step is Rung.PASS_THROUGH else None
            self.health.treated(now, treatment, treatment if passed is None else _PASSED)
            slot = Slot(frame, image, pooled, captured.since, now, len(self._sink_threads), self._end)
            for index, each in enumerate(self._sink_threads):
                each.put(slot, None if passed is None or asking[index] else passed)
            if not self._sink_threads:
                slot.done(True)
            if self._sinks_ended():
                return
            done += 1
            if on_frame is not None:
                on_frame(self.health)

    def _one(self, frame: Frame, step: Rung) -> tuple[Treated, bool]:
        """The frame denoised, and whether it lies in the pool's memory; of a live camera the frame as it is where the
        network fails that worked before.
        """
        if step is Rung.PASS_THROUGH:
            self._last = None
            return Treated(frame.image, _PASSED), False
        try:
            treated, pooled = self._treat(frame.image, step)
        except Exception as error:  # whatever fails, a live view goes on
            if not self._camera.live or not self._worked:
                raise
            if self._broken is None:
                self._broken_since = time.time()
                say(f"The network fails, frames pass as they are: {error}")
            self._broken = one_line(error)
            return Treated(frame.image, Treatment(step, why="the network fails")), False
        self._worked = True
        if self._broken is not None:
            self._broken = None
            say("The network works again")
        return treated, pooled

    def _treat(self, noisy: Image, step: Rung) -> tuple[Treated, bool]:
        denoiser, half = self._denoiser, False
        if self._degrade is not None:
            denoiser, half = self._degrade.choose(denoiser, step, noisy.shape)
        if denoiser is not self._last:
            denoiser.resume(self._last)
            self._last = denoiser
        # Which shape comes out is known after the first frame: a color model makes three channels of one.
        key = step, noisy.shape
        shape = self._shapes.get(key)
        out = None if shape is None else self._pool.take(shape)
        image, treatment = denoiser.treat(noisy, out, half)
        if step is not Rung.FULL:
            treatment = replace(treatment, step=step)
        if out is not None and image is out:
            return Treated(image, treatment), True
        if out is not None:
            self._pool.give(out)  # another model took over, and its frames have another shape
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        self._shapes[key] = image.shape
        return Treated(image, treatment), False

    def _end(self, slot: Slot, written: bool) -> None:
        """The last sink is done with a frame."""
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

    def _begin_reload(self) -> None:
        if self._wanted is not None and not self._reloading.is_alive():
            wanted, self._wanted = self._wanted, None
            self._reloading = threading.Thread(target=self._reload, args=(wanted,), name="quietcam-model", daemon=True)
            self._reloading.start()

    def _reload(self, wanted: Path | str) -> None:
        try:
            self._denoiser.reload(wanted)  # type: ignore[attr-defined]
            if self.over:
                return
        except Exception as error:  # noqa: BLE001  whatever is wrong with the file, what works goes on
            if self.over:
                return
            if not self._refused:
                self.health.reload_error = one_line(error)
            say(f"The new model is refused, the old one goes on: {error}")
        else:
            self.health.reloaded += 1
            if not self._refused:
                self.health.reload_error = None
            say(f"The model is now {wanted}")

    def _finish(self, whole: bool, keep: bool) -> None:
        """End all threads, those of the sinks first: when nothing hurries after all was written, else soon."""
        process.ends_itself()
        self.over = not whole  # what a reload under way comes to is no news of this run any more
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
            late = process.wait([each.thread for each in self._sink_threads], _GRACE, hurried)
        except KeyboardInterrupt:  # where one waits for a reader
            self.end()
            late = process.wait([each.thread for each in self._sink_threads], _GRACE)
            raise
        finally:
            for each in self._sink_threads:
                if each.thread in late:
                    each.leave()
        # Reading a file ends by itself, unless its disk hangs; a live camera sees to its own readers.
        late = process.wait([self._camera_thread.thread], _SOON, lambda: self._camera.live or hurried())
        if late and not self._camera.live:
            self._camera_thread.leave()
        gil_window.no_more_invokes()
        process.wait([self._reloading], _SOON)
        self._thermometer.stop()
        self.over = True
        self.health.ended()

    def _raise_errors(self) -> None:
        for error in (self._camera_thread.error, *(each.error for each in self._sink_threads)):
            if error is not None:
                raise error

    def _sinks_ended(self) -> bool:
        """One ended by an error, or nobody takes frames any more."""
        return any(each.error for each in self._sink_threads) or (
            bool(self._sink_threads) and all(each.ended for each in self._sink_threads)
        )

    def _dropped(self) -> int:
        return self._camera_thread.box.dropped + self._camera.dropped + self._lost

    def _watch(self) -> None:
        """Tell ``health`` whom to ask."""
        health, denoiser = self.health, self._denoiser
        health.watch("camera", lambda: self._camera.state.report())
        health.watch("sinks", lambda: [each.report() for each in self._sink_threads])
        health.count_dropped(self._dropped)
        health.watch("device", lambda: getattr(denoiser, "device_state", None))
        health.watch("ladder", self._ladder)
        health.watch("temperature_c", self._thermometer.celsius)

    def _ladder(self) -> dict[str, Any]:
        if self._broken is not None:
            reason = f"the network fails: {self._broken}"
            return {"step": Rung.PASS_THROUGH.value, "reason": reason, "since": self._broken_since}
        return {"step": Rung.FULL.value, "reason": None} if self._degrade is None else self._degrade.report()
