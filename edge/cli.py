"""The commands of the edge stage: `run`, `bench`, `models`; `capture` and `doctor` have files of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.capture_cli import capture_command
from edge.doctor.cli import doctor_command
from edge.service.settings import Settings, use_config
from quietcam.errors import StorageError, UsageError
from quietcam.options import Json

if TYPE_CHECKING:
    from edge.cameras import Camera
    from edge.denoiser import Denoiser
    from edge.health import Health
    from edge.pipeline import Pipeline
    from edge.sinks import Sink

__all__ = ["mount"]

_Model = Annotated[
    str | None,
    typer.Option(help="A .tflite file, or the name of a model that ships. Default: the best of these."),
]
_Device = Annotated[
    str,
    typer.Option(
        metavar="cpu|usb[:N]|pci[:N]",
        help="Where the network runs: the CPU or an Edge TPU; several, with commas, share the tiles of a frame.",
    ),
]
_Threads = Annotated[int | None, typer.Option(help="CPU threads of the network. Default: one per core, up to 4.")]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("run")(run_command)
    app.command("capture")(capture_command)
    app.command("bench")(bench_command)
    app.command("models")(models_command)
    app.command("doctor")(doctor_command)


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
    fps: Annotated[float | None, typer.Option(help="Frames a second that a camera is asked for.")] = None,
    model: _Model = None,
    threads: _Threads = None,
    device: _Device = "cpu",
    strength: Annotated[
        float, typer.Option(metavar="0..1", help="The network's share in what is shown: 0 leaves frames as they are.")
    ] = 1.0,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Leave clean frames alone, and those that the network would harm.")
    ] = True,
    frames: Annotated[int | None, typer.Option(help="Stop after so many frames.")] = None,
    before_after: Annotated[
        bool, typer.Option("--before-after", help="Put the noisy frame on the left of the denoised one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    allow_still: Annotated[
        bool, typer.Option("--allow-still", help="Take a picture that never changes for live, as of a test pattern.")
    ] = False,
    ladder: Annotated[
        bool,
        typer.Option("--ladder/--no-ladder", help="Take work away, step by step, while a camera's device is too hot."),
    ] = True,
    hot: Annotated[
        float | None, typer.Option(metavar="CELSIUS", help="Too hot begins there. Default: 80 on ARM, else 95.")
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(
            metavar="MS", help="A frame older than that is late; where many are, work is taken away. 0: never."
        ),
    ] = 500.0,
    smaller: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The ladder's smaller model. Default: one that ships, else frames of half the size."
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="Where the page is served; 0.0.0.0 for other machines.")
    ] = "127.0.0.1:8080",
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN|auto|@FILE",
            envvar="QUIETCAM_TOKEN",
            show_envvar=True,
            help="Who opens the page must know it. auto makes one and prints it.",
        ),
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Serve the page to other machines without a token, on purpose.")
    ] = False,
    host_name: Annotated[
        list[str] | None, typer.Option(help="A name, besides this machine's own, under which the page is opened.")
    ] = None,
    viewers: Annotated[int, typer.Option(help="How many may watch at once.")] = 8,
    jpeg_quality: Annotated[int, typer.Option(help="Of the live stream, 1 to 100.")] = 80,
    config: Annotated[
        Path | None,
        typer.Option(
            is_eager=True, callback=use_config, help="A TOML file with these options. See SIGHUP in the docs."
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
    from functools import partial

    from edge.cameras import open_camera
    from edge.cameras.discover import find_camera
    from edge.degrade import DegradeOptions, make_degrader
    from edge.denoiser import Denoiser
    from edge.gate import check_strength
    from edge.modelfile import load_model
    from edge.models import resolve_model, smaller_model
    from edge.pipeline import Pipeline
    from edge.service.live import RunControls, apply_settings
    from edge.service.notify import Notifier
    from edge.service.reload import Reloader, on_hangup
    from edge.service.watchdog import WatchdogSink
    from edge.sinks import open_sink

    if frames is not None and frames < 1:
        raise UsageError(f"--frames must be at least 1. Received: {frames}.")
    if "-" in (sink or []) and json == "-":
        raise UsageError("The frames and the report cannot both go to the standard output. Remedy: --json FILE")
    check_strength(strength)
    source = source or find_camera()
    camera = open_camera(source, None if size is None else _size(size), fps, allow_still)
    targets = _targets(source, sink or (["web"] if camera.live else []))
    file = resolve_model(model)
    easier = None if smaller is None else resolve_model(smaller)
    if easier is None and ladder and camera.live:
        easier = smaller_model(file)
    rules = DegradeOptions(hot, deadline / 1000, easier, threads, gate)
    page: Callable[[Denoiser], Sink] | None = None
    if "web" in targets:  # who does not want the page does not pay for it
        from edge.sinks.web import WebOptions, WebSink

        options = WebOptions.of(listen, token, open_to_all, tuple(host_name or ()), viewers, jpeg_quality)
        page = lambda denoiser: WebSink(options, RunControls(denoiser, camera.name), camera.live)  # noqa: E731
    settings, notifier = Settings(context, config), Notifier()
    checked = load_model(file)
    stopped: KeyboardInterrupt | None = None
    with ExitStack() as stack:
        # The camera first: what the synthetic one takes to render is free again for the network.
        stack.enter_context(camera)
        denoiser = Denoiser(checked, threads, device=device, strength=strength, gate=gate, stream=not camera.still)
        stack.enter_context(denoiser)
        web = None if page is None else partial(page, denoiser)
        sinks = [
            open_sink(target, camera.fps, before_after, overwrite, camera.size, web, camera.live) for target in targets
        ]
        if notifier.wanted:
            sinks.append(WatchdogSink(notifier))
        for each in sinks:
            stack.enter_context(each)
        rules = replace(rules, strength=lambda: denoiser.strength)
        degrade = stack.enter_context(make_degrader(rules)) if ladder and camera.live else None
        pipeline = Pipeline(camera, denoiser, sinks, degrade=degrade)
        reloader = Reloader(
            lambda: settings.reread(lambda values: apply_settings(values, denoiser, pipeline)),
            pipeline.refuse_reload,
            notifier,
        )
        stack.enter_context(on_hangup(reloader))
        try:
            if notifier.wanted:  # a service's log is no place for progress
                pipeline.run(frames)
            else:
                _run(pipeline, camera.total, frames)
        except KeyboardInterrupt as error:
            stopped = error
    # Only now are the sinks finished.
    report = _report(pipeline.health, camera, denoiser)
    _tell(report, json)
    if stopped is not None:
        raise stopped
    failed = [f"{each['name']}: {each['error']}" for each in report["sinks"] if each["error"]]
    if failed:
        raise StorageError(f"Not every sink took all frames to the end. Received: {'; '.join(failed)}")


def bench_command(
    model: _Model = None,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model to measure in turns with the first.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Of the frames. Default: the model's own.")
    ] = None,
    threads: _Threads = None,
    device: _Device = "cpu",
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="With the do-no-harm gate, as `run` has it.")] = True,
    frames: Annotated[int, typer.Option(help="How many to measure of each kind.")] = 200,
    json: Json = None,
) -> None:
    """Measure latency, throughput and memory, and what the runtime adds to the bare network.

    Example: `quietcam bench --model demo --size 640x480 --threads 1 --compare other.tflite`
    """
    from edge.bench import bench
    from edge.modelfile import load_model
    from edge.models import resolve_model
    from quietcam.progress import progress

    wanted = None if size is None else _size(size)
    models = [load_model(resolve_model(name)) for name in (model, *(compare or []))]
    with progress("Measuring", 3 * frames * len(models)) as bar:
        reports = bench(models, wanted, threads, frames, device=device, gate=gate, on_frame=bar.advance)
    rows, notes = [], []
    for report in reports:
        for kind, meaning in (("invoke", "bare invoke"), ("denoise", "denoise"), ("pipeline", "pipeline")):
            times = [f"{report[kind][key]:.2f}" if key in report[kind] else "" for key in ("p50", "p95", "p99")]
            rows.append([report["model"], meaning, *times, f"{report[kind]['fps']:.1f}"])
        note = (
            "{model}: the runtime adds {overhead_ms:.2f} ms a frame; the pipeline reaches {pipeline_share:.0%} of bare "
            "invoke"
        ).format(**report)
        if report is not reports[0]:
            note += f", {report['speedup']:.2f} times as fast as {reports[0]['model']}"
        notes.append(note)
    title = "{width}x{height}, threads: {threads}, device: {device}, {runtime}".format(**reports[0])
    notes.append(f"peak memory {reports[-1]['peak_memory_mib']:.0f} MiB")
    content: Any = reports[0] | ({"compared": reports[1:]} if reports[1:] else {})
    _show(json, content, title, ["model", "", "p50 ms", "p95 ms", "p99 ms", "frames/s"], rows, "\n".join(notes))


def models_command(json: Json = None) -> None:
    """List the models that ship: size, cost, quality, licence of the training data.

    Example: `quietcam models`
    """
    from edge.models import DEFAULT, describe, resolve_model, shipped_models

    models = [describe(path) for path in shipped_models()]
    rows = [
        [
            each["name"],
            f"{each['width']}x{each['height']}",
            f"{each['bytes'] / 1000:.0f}",
            *("" if each[key] is None else f"{each[key]:.2f}" for key in ("gmacs_256", "psnr")),
            each["licence"] or "",
        ]
        for each in models
    ]
    note = f"{DEFAULT} means {resolve_model().stem}" if models else "no model ships with this installation"
    _show(
        json,
        models,
        "Models that ship",
        ["name", "frame", "kB", "GMACs at 256x256", "PSNR dB", "data"],
        rows,
        note,
    )


def _targets(source: str, sinks: list[str]) -> list[str]:
    """The sinks, when there is one, each is another, and none is the source."""
    from edge.sinks import KINDS

    if not sinks:
        raise UsageError(f"Say where the frames go: --sink {'; '.join(KINDS)}. Received: no --sink.")
    places = [_place(each) for each in sinks if each != "null"]
    if len(set(places)) < len(places):
        raise UsageError(f"Each --sink must be another place. Received: {', '.join(sinks)}.")
    if Path(source).resolve() in places:
        raise UsageError(f"A sink must not be the source. Received: {source}. Remedy: choose another --sink.")
    return sinks


def _place(sink: str) -> Path | str:
    """Where a sink writes; what is no file is a place of its own."""
    if sink in ("web", "-", "window"):
        return sink
    return Path(sink.removeprefix("spool:").split(",")[0] if sink.startswith("spool:") else sink).resolve()


def _run(pipeline: Pipeline, total: int | None, frames: int | None) -> None:
    from quietcam.progress import progress

    known = [number for number in (total, frames) if number is not None]
    with progress("Denoising", min(known, default=None)) as bar:
        pipeline.run(frames, lambda health: bar.advance(note=_note(health)))


def _note(health: Health) -> str:
    return f"{health.dropped} dropped" if health.dropped else ""


def _report(health: Health, camera: Camera, denoiser: Denoiser) -> dict[str, Any]:
    model = denoiser.model
    return {
        "source": camera.name,
        "model": model.name,
        "runtime": denoiser.runtime,
        "threads": denoiser.threads,
        "skipped": camera.skipped,
        **health.report(),
        "device": denoiser.device_state,
        "noise_sigma": denoiser.noise_sigma,
    }


def _tell(report: dict[str, Any], json: str | None) -> None:
    from quietcam.progress import say
    from quietcam.report import write_report

    latency = report["latency_ms"]
    took = "; a frame took {p50:.1f} ms in the network, 95 of 100 at most {p95:.1f} ms"
    say(
        "{frames} frames in {seconds:.1f} s ({fps:.1f} a second), {dropped} dropped, ".format(**report)
        + f"{len(report['skipped'])} skipped"
        + (took.format(**latency["denoise"]) if report["frames"] else "")
    )
    write_report(json, report)


def _show(json: str | None, report: Any, title: str, head: list[str], rows: list[list[str]], note: str) -> None:
    """A table on stdout, unless the JSON goes there."""
    from rich.table import Table

    from quietcam.report import report_console, write_report

    table = Table()
    for index, column in enumerate(head):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console = report_console(json)
    for part in (title, table, note):
        console.print(part)
    write_report(json, report)


def _size(text: str) -> tuple[int, int]:
    from edge.cameras.options import SIZE_MEANS, read_size

    try:
        return read_size(text)
    except ValueError:
        raise UsageError(f"--size is {SIZE_MEANS}. Received: {text}. Remedy: for example --size 640x480") from None
