"""A run without the command line: options in, a running pipeline out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edge.cameras import Camera, open_camera
from edge.cameras.supervised import SupervisedCamera
from edge.child.trial import try_unknown
from edge.events.alarm import Alarm, open_target, wanted_kinds
from edge.events.feed import EventFeed
from edge.events.watch import EventWatch
from edge.models import choices, resolve_model, smaller_model
from edge.network.denoiser import Denoiser
from edge.network.frame_denoiser import FrameDenoiser
from edge.network.gate.harm import check_strength
from edge.network.modelfile import load_model
from edge.network.variants import load_variants
from edge.run.degrade.ladder_denoiser import LadderOptions, open_ladder
from edge.run.degrade.temperature import Thermometer, hot_by_default
from edge.run.frame import Frame
from edge.run.health import Health
from edge.run.options import RunOptions, several
from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from edge.run.report import report_of
from edge.sinks import Sink, open_sink
from edge.sinks.mqtt.options import MqttOptions, is_mqtt
from edge.sinks.targets import checked_targets
from edge.update.slots.running import slot_model
from edge.update.slots.watch import UpdateWatch
from edge.web.controls import RunControls
from quietcam.errors import UsageError
from quietcam.image import Image
from quietcam.terminal.log import log
from quietcam.terminal.secrets import shown

__all__ = ["RunOptions", "Session", "open_session"]

Take = Callable[[Frame, Image], None]
"""Takes a frame of the camera and its denoised picture, uint8 ``(H, W, C)``. Both are valid during the call only."""


class Session:
    """A run that is ready to start: camera, model and sinks are chosen and checked. :func:`open_session` makes one.

    Example:
        >>> import quietcam
        >>> options = quietcam.RunOptions(source="synthetic", sink="null")
        >>> with quietcam.open_session(options) as session:
        ...     report = session.run(lambda health: session.stop())  # after a frame; or from a thread of your program
        >>> report["model"]
        'small-video_640x480_int8'

    Attributes:
        camera, denoiser, sinks: the parts of the run.
        total: most frames that there will be; None if that is unknown.
    """

    def __init__(
        self,
        options: RunOptions,
        camera: Camera,
        denoiser: Denoiser,
        reloading: ReloadingDenoiser,
        sinks: Sequence[Sink],
        thermometer: Thermometer,
        alarms: Sequence[Alarm],
        stack: contextlib.ExitStack,
        updates: UpdateWatch | None = None,
    ) -> None:
        self.camera, self.denoiser, self.sinks = camera, denoiser, sinks
        known = [number for number in (camera.total, options.frames) if number is not None]
        self.total = min(known, default=None)
        self._options, self._reloading, self._stack = options, reloading, stack
        self._thermometer, self._updates = thermometer, updates
        self._pipeline = Pipeline(camera, reloading, sinks, opens=camera.live)
        self._pipeline.health.watch("temperature_c", thermometer.celsius)
        hot = hot_by_default() if options.hot is None else options.hot
        self._feed = EventFeed(EventWatch(hot), self.report, [each.event for each in sinks], alarms)
        self._pipeline.health.watch("events", self._feed.counts)
        self._pipeline.health.watch("alarms", self._feed.alarms)
        if updates is not None:
            self._pipeline.health.watch("update", updates.told)
        self._opened = False

    def open(self) -> None:
        """Open the sinks. If nobody calls this, ``run`` does.

        Raises:
            UsageError: the session is closed.
            QuietcamError: what a sink raised.
        """
        if self._reloading.over:
            raise UsageError(
                "A session runs once, inside its `with` block. Received: one that has ended. "
                "Remedy: open_session(options) makes another."
            )
        if self._opened:
            return
        self._opened = True
        self._thermometer.start()
        self._stack.callback(self._thermometer.stop)
        if not self.camera.live:
            for sink in self.sinks:
                self._stack.enter_context(sink)
        if self.camera.live:
            self._feed.start()
            self._stack.callback(self._feed.stop)
        self._pipeline.open()

    def run(self, on_frame: Callable[[Health], None] | None = None) -> dict[str, Any]:
        """Denoise until the camera ends, ``frames`` are done, or ``stop``, an error or Ctrl-C ends it. Call it once.

        Args:
            on_frame: called after each denoised frame, in this thread.

        Returns:
            The report.

        Raises:
            UsageError: it ran before, or the session is closed.
            QuietcamError: what the camera, the model or a sink raised.
            KeyboardInterrupt: on Ctrl-C, after the sinks took the denoised frames.
        """
        self.open()
        try:
            self._pipeline.run(self._options.frames, on_frame)
        finally:
            self._reloading.close()
        return self.report()

    def stop(self) -> None:
        """Make ``run`` end soon, as if the camera had ended. For any thread and for signal handlers."""
        self._pipeline.stop()

    def end(self) -> None:
        """As ``stop``, even if the network hangs: the sinks are finished now. For any thread, but not for signal
        handlers.
        """
        self._pipeline.end()

    def reload(self, model: str | Path | None = None, strength: float | None = None) -> None:
        """Use another model, and a strength, soon. No frame is lost. A model that turns out to be unusable is refused
        later: the log and ``report()["reload"]["error"]`` say why.

        Args:
            model: as in ``RunOptions``; None: the best for the camera's size, its file read again.
            strength: 0 to 1; None: unchanged.

        Raises:
            UsageError: there is no such model, a strength outside 0 to 1, or the run has ended; nothing has changed.
        """
        if self._reloading.over:
            raise UsageError("A model is reloaded while frames run. Received: a run that has ended.")
        path = _model(model, self.camera.size)
        if self._updates is not None:
            self._updates.active = slot_model(model) is not None
        if strength is not None:
            self.denoiser.strength = strength
        self._reloading.request(path)

    def refuse_reload(self, reason: str) -> None:
        """Show in the report that a reload was refused before it came to a model."""
        self._reloading.refuse(reason)

    def report(self) -> dict[str, Any]:
        """The state of the run, for JSON: :meth:`edge.run.health.Health.report` with source, model and runtime.
        For any thread; also after the end.
        """
        return report_of(self._pipeline.health, self.camera, self.denoiser)


@contextlib.contextmanager
def open_session(
    options: RunOptions,
    sinks: Sink | Take | Sequence[Sink | Take] = (),
    status: Callable[[str], None] = lambda _: None,
    announce: Callable[[str], None] = log.info,
) -> Iterator[Session]:
    """A run with these ``options``. Everything is closed at the end.

    Args:
        sinks: further sinks of the caller, beside those of ``options``, one or several: a
            :class:`edge.sinks.base.Sink`, or a function that is called with each frame and its denoised picture, in its
            own thread. An error of such a sink ends the run of a file. A live run goes on: the log and the report tell
            the error, and the sink is tried again after a pause. An error of a single sink at its first frame ends a
            live run, too.
        status: called with a few words that say what the start waits for.
        announce: called with each line about the live page's address, with a generated token. Defaults to the log,
            which shows no token.

    Raises:
        UsageError: an option is not valid.
        QuietcamError: the camera or the model cannot be used.

    Example:
        >>> import quietcam
        >>> pictures = []
        >>> options = quietcam.RunOptions(source="synthetic", frames=8)
        >>> with quietcam.open_session(options, lambda frame, denoised: pictures.append(denoised.copy())) as session:
        ...     report = session.run()
        >>> 0 < len(pictures) <= 8  # a sink that is slow takes the newest frames
        True
    """
    # Wrong options are reported before any camera is opened.
    own = _own(sinks)
    check_strength(options.strength)
    if options.frames is not None and options.frames < 1:
        raise UsageError(f"`frames` must be at least 1. Received: {options.frames}. Remedy: leave it out to run on.")
    kinds = wanted_kinds(options.events)
    alarms = [Alarm(open_target(text), kinds) for text in several(options.on_event)]
    load_model(_model(options.model))
    smaller = None if options.smaller is None else _model(options.smaller)
    rules = LadderOptions(
        options.hot,
        options.deadline / 1000,
        smaller,
        options.threads,
        options.device,
        options.gate,
        options.history,
    )
    camera = open_camera(
        options.source or None,
        options.size,
        options.fps,
        options.allow_still,
        options.clip,
        options.rotate,
        options.flip,
    )
    if alarms and not camera.live:
        raise UsageError(
            "`on_event` tells of a camera's events. Received: a source that is no camera. Remedy: leave it out."
        )
    targets = _targets(options, camera, alone=all(each.observer for each in own))
    page = _page(options, camera.live, announce) if "web" in targets else None
    with contextlib.ExitStack() as stack:
        if isinstance(camera, SupervisedCamera):
            camera.wait = bool(options.wait)
        stack.enter_context(camera)
        file = _model(options.model, camera.size)  # only an open camera knows its size
        status("loading the model")
        variants = load_variants(file, options.device)
        try_unknown(variants.cpu, camera.size, options.threads)
        denoiser = Denoiser(
            variants,
            options.threads,
            device=options.device,
            strength=options.strength,
            gate=options.gate,
            stream=not camera.still,
            history=options.history,
        )
        stack.enter_context(denoiser)
        controls = RunControls(denoiser, lambda: camera.name)
        opened = [_sink(target, options, camera, controls, page) for target in targets]
        controls.shelves = [each.shelf for each in (*opened, *own) if each.shelf is not None]
        thermometer = Thermometer()
        frames: FrameDenoiser = denoiser
        if options.ladder and camera.live:
            rules = replace(rules, smaller=smaller or smaller_model(file))
            frames = stack.enter_context(open_ladder(denoiser, rules, thermometer))
        reloading = ReloadingDenoiser(frames, denoiser.reload)
        stack.callback(reloading.close)
        updates = None
        if camera.live and (slot := slot_model(options.model)) is not None:
            updates = UpdateWatch(slot, lambda: denoiser.model.path, lambda: camera.size, reloading.request)
            own.append(updates)
        if updates is None:  # a person and signed updates must not change the model in turns
            controls.offer({**choices(camera.size), file.stem: file}, reloading)
        if isinstance(camera, SupervisedCamera) and camera.state.waiting:
            camera.on_found = partial(_take_better, options.model, file, reloading)
        all_sinks = [*opened, *own]
        yield Session(options, camera, denoiser, reloading, all_sinks, thermometer, alarms, stack, updates)


def _model(name: str | Path | None, size: tuple[int, int] | None = None) -> Path:
    if (slot := slot_model(name)) is not None:
        return slot.in_use(size).model
    return resolve_model(None if name is None else str(name), size)


def _own(sinks: Sink | Take | Sequence[Sink | Take]) -> list[Sink]:
    """The sinks of the caller's own."""
    given = sinks if isinstance(sinks, Sequence) else [sinks]
    return [each if isinstance(each, Sink) else _FunctionSink(each) for each in given]


def _targets(options: RunOptions, camera: Camera, alone: bool) -> list[str]:
    """The sinks of the options. A run without any, and without one of the caller's, is refused."""
    named = [str(each) for each in several(options.sink)]
    if not alone and not named:
        return []
    source = None if options.source is None else str(options.source)
    for target in filter(is_mqtt, named):
        MqttOptions.parse(target, options.mqtt_password)  # what is wrong is said before a camera is waited for
    if alone and named and all(map(is_mqtt, named)):
        raise UsageError(
            "MQTT shows no frames, so a run needs another sink, too. "
            f"Received: {shown(', '.join(named), whole=True)}. Remedy: add web, or null."
        )
    return checked_targets(source, named or (["web"] if camera.live else []))


def _page(options: RunOptions, live: bool, announce: Callable[[str], None]) -> Callable[[RunControls], Sink]:
    """Make the live page. Its modules are loaded only if it is wanted."""
    from edge.sinks.web import WebOptions, WebSink

    page = WebOptions.of(
        options.listen,
        options.token,
        options.open_to_all,
        tuple(several(options.host_name)),
        options.viewers,
        options.jpeg_quality,
    )
    return lambda controls: WebSink(page, controls, live, announce=announce)


def _sink(
    target: str,
    options: RunOptions,
    camera: Camera,
    controls: RunControls,
    page: Callable[[RunControls], Sink] | None,
) -> Sink:
    if is_mqtt(target):
        from edge.sinks.mqtt.sink import MqttSink

        return MqttSink(MqttOptions.parse(target, options.mqtt_password), controls.describe, camera.live)
    web = None if page is None else partial(page, controls)
    return open_sink(target, camera.fps, options.before_after, options.overwrite, camera.size, web, camera.live)


def _take_better(name: str | Path | None, file: Path, reloading: ReloadingDenoiser, size: tuple[int, int]) -> None:
    """Called when a camera that was waited for delivers: another model may fit its frames better."""
    better = _model(name, size)
    if better != file:
        reloading.request(better)


class _FunctionSink(Sink):
    """Hands each frame to a function, and is called like it."""

    def __init__(self, take: Take) -> None:
        if not callable(take) or isinstance(take, type):
            raise UsageError(
                f"A sink of your own is a Sink or a function of a frame and its denoised picture. Received: {take!r}."
            )
        self.name = str(getattr(take, "__name__", type(take).__name__))
        self._take = take

    def write(self, frame: Frame, denoised: Image) -> None:
        self._take(frame, denoised)
        self.frames += 1
