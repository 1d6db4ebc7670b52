"""The command `run` of the edge stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.options import Device, Model, Threads, frame_size
from edge.service.settings import Settings, use_config
from quietcam.errors import StorageError, UsageError
from quietcam.process.stopping import process
from quietcam.terminal.options import Json, number, whole

if TYPE_CHECKING:
    from edge.run.pipeline import Pipeline
    from edge.sinks import Sink

__all__ = ["run_command"]

_HEAT, _PAGE = "Under heat, and where frames come late", "The page (--sink web)"


def run_command(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(
            help="picamera2, a video device (/dev/video0 or 0), a URL (rtsp://, http://), a folder of pictures, a "
            "picture, a video file, or synthetic; KEY=VALUE,… may stand behind a colon. Default: the camera that is "
            "there."
        ),
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="web, spool:FOLDER[,KEY=VALUE…], a folder, a video file (.webm, .mp4, .avi), - (raw RGB frames on "
            "the standard output, for a pipe), window, or null. May be given several times. Default, of a camera: web."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="What a camera is asked for.")] = None,
    fps: Annotated[
        float | None, typer.Option(parser=number(0.001, 1000), help="Frames a second that a camera is asked for.")
    ] = None,
    model: Model = None,
    threads: Threads = None,
    device: Device = "cpu",
    strength: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            parser=number(0, 1),
            help="The network's share in what is shown: 0 leaves frames as they are.",
        ),
    ] = 1.0,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Leave clean frames alone, and those that the network would harm.")
    ] = True,
    frames: Annotated[int | None, typer.Option(parser=whole(1, 10**15), help="Stop after so many frames.")] = None,
    before_after: Annotated[
        bool, typer.Option("--before-after", help="Put the noisy frame on the left of the denoised one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    allow_still: Annotated[
        bool, typer.Option("--allow-still", help="Take a picture that never changes for live, as of a test pattern.")
    ] = False,
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Wait for a camera that is not there yet, and show the page meanwhile. Default: as a service only.",
        ),
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder/--no-ladder",
            help="Take work away, step by step, while a camera's device is too hot.",
            rich_help_panel=_HEAT,
        ),
    ] = True,
    hot: Annotated[
        float | None,
        typer.Option(
            metavar="CELSIUS",
            parser=number(30, 120),
            help="Too hot begins there. Default: 80 on ARM, else 95.",
            rich_help_panel=_HEAT,
        ),
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(
            metavar="MS",
            parser=number(0, 10**7),
            help="A frame older than that is late; where many are, work is taken away. 0: never.",
            rich_help_panel=_HEAT,
        ),
    ] = 500.0,
    smaller: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The ladder's smaller model. Default: one that ships, else frames of half the size.",
            rich_help_panel=_HEAT,
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST[:PORT]",
            help="Where the page is served; 0.0.0.0 for other machines.",
            rich_help_panel=_PAGE,
        ),
    ] = "127.0.0.1:8080",
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN|auto|@FILE",
            envvar="QUIETCAM_TOKEN",
            show_envvar=True,
            help="Who opens the page must know it. auto makes one and prints it.",
            rich_help_panel=_PAGE,
        ),
    ] = None,
    open_to_all: Annotated[
        bool,
        typer.Option(
            "--open-to-all",
            help="Serve the page to other machines without a token, on purpose.",
            rich_help_panel=_PAGE,
        ),
    ] = False,
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            help="A name, besides this machine's own, under which the page is opened.",
            rich_help_panel=_PAGE,
        ),
    ] = None,
    viewers: Annotated[
        int,
        typer.Option(
            parser=whole(1, 1000),
            help="How many may watch at once.",
            rich_help_panel=_PAGE,
        ),
    ] = 8,
    jpeg_quality: Annotated[
        int,
        typer.Option(
            parser=whole(1, 100),
            help="Of the live stream, 1 to 100.",
            rich_help_panel=_PAGE,
        ),
    ] = 80,
    config: Annotated[
        Path | None,
        typer.Option(
            is_eager=True,
            callback=use_config,
            help="A TOML file with these options. On SIGHUP its model and strength are taken up.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Denoise the frames of a camera, a video or a folder into sinks.

    Example: `quietcam run --source noisy.mp4 --sink clean.webm --before-after`

    Into another program: `quietcam run --source /dev/video0 --size 640x480 --sink - | ffmpeg -f rawvideo
    -pix_fmt rgb24 -s 640x480 -r 30 -i - clip.mp4`, or `… | gst-launch-1.0 fdsrc ! rawvideoparse format=rgb width=640
    height=480 framerate=30/1 ! videoconvert ! autovideosink`
    """
    from contextlib import ExitStack
    from dataclasses import replace

    from edge.cameras import open_camera
    from edge.cameras.supervised import SupervisedCamera
    from edge.child.trial import try_unknown
    from edge.models import resolve_model, smaller_model
    from edge.network.denoiser import Denoiser
    from edge.network.harm import check_strength
    from edge.network.modelfile import load_model
    from edge.network.variants import load_variants
    from edge.run.degrade import DegradeOptions, make_degrader
    from edge.run.pipeline import Pipeline
    from edge.run.report import lost_by, report_of, tell
    from edge.service.live import RunControls, apply_settings
    from edge.service.notify import Notifier
    from edge.service.reload import Reloader, on_hangup
    from edge.service.watchdog import WatchdogSink
    from edge.sinks import open_sink
    from edge.sinks.targets import checked_targets
    from quietcam.process.native_output import divert_native_output
    from quietcam.terminal.progress import say

    divert_native_output()
    notifier = Notifier()
    reloads = config is not None or notifier.wanted
    if not reloads:
        process.hangup_stops()
    notifier.loading()
    # What can be wrong in these words is said before any camera is opened.
    if "-" in (sink or []) and json == "-":
        raise UsageError("The frames and the report cannot both go to the standard output. Remedy: --json FILE")
    check_strength(strength)
    load_model(resolve_model(model))
    easier = None if smaller is None else resolve_model(smaller)
    rules = DegradeOptions(hot, deadline / 1000, easier, threads, device, gate)
    camera = open_camera(source or None, frame_size(size), fps, allow_still)
    targets = checked_targets(source, sink or (["web"] if camera.live else []))
    page: Callable[[RunControls], Sink] | None = None
    if "web" in targets:  # who does not want the page does not pay for it
        from edge.sinks.web import WebOptions, WebSink

        options = WebOptions.of(listen, token, open_to_all, tuple(host_name or ()), viewers, jpeg_quality)
        announce = partial(say, as_it_is=True)  # the address, with its token
        page = lambda controls: WebSink(options, controls, camera.live, announce=announce)  # noqa: E731
    settings = Settings(context, config)
    stopped = False
    with ExitStack() as stack:
        stack.callback(notifier.loaded)
        if isinstance(camera, SupervisedCamera):
            camera.wait = notifier.wanted if wait is None else wait
        stack.enter_context(camera)
        file = resolve_model(model, camera.size)  # only an open camera knows its size
        notifier.status("loading the model")
        variants = load_variants(file, device)
        try_unknown(variants.cpu, camera.size, threads)
        denoiser = Denoiser(variants, threads, device=device, strength=strength, gate=gate, stream=not camera.still)
        stack.enter_context(denoiser)
        web = None if page is None else partial(page, RunControls(denoiser, lambda: camera.name))
        sinks = [
            open_sink(target, camera.fps, before_after, overwrite, camera.size, web, camera.live) for target in targets
        ]
        if notifier.wanted:
            sinks.append(WatchdogSink(notifier))
        degrade = None
        if ladder and camera.live:
            rules = replace(rules, smaller=easier or smaller_model(file))
            degrade = stack.enter_context(make_degrader(rules))
        pipeline = Pipeline(camera, denoiser, sinks, degrade=degrade, opens=camera.live)
        stack.enter_context(process.stopped_by(pipeline.end))
        if not camera.live:
            for each in sinks:
                stack.enter_context(each)

        if isinstance(camera, SupervisedCamera) and camera.state.waiting:

            def found(frame: tuple[int, int]) -> None:
                better = resolve_model(model, frame)
                if better != file:
                    pipeline.request_reload(better)

            camera.on_found = found
        if reloads:

            def take_up(values: dict[str, Any]) -> None:
                apply_settings(values, denoiser, pipeline, camera.size)

            reloader = Reloader(lambda: settings.reread(take_up), pipeline.refuse_reload, notifier)
            stack.enter_context(on_hangup(reloader))
        try:
            pipeline.open()  # before the bar, as what sinks say at the start is to be copied
            if notifier.wanted:  # a service's log is no place for progress
                pipeline.run(frames)
            else:
                _run(pipeline, camera.total, frames)
        except KeyboardInterrupt:
            stopped = True
    report = report_of(pipeline.health, camera, denoiser)
    tell(report, json)
    if stopped or process.asked:
        raise KeyboardInterrupt
    if failed := lost_by(report):
        raise StorageError(f"Not every sink took all frames to the end. Received: {'; '.join(failed)}")


def _run(pipeline: Pipeline, total: int | None, frames: int | None) -> None:
    from edge.run.report import note_of
    from quietcam.terminal.progress import progress

    known = [number for number in (total, frames) if number is not None]
    with progress("Denoising", min(known, default=None)) as bar:
        pipeline.run(frames, lambda health: bar.advance(note=note_of(health)))
