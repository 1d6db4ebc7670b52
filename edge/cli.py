"""The commands of the edge stage: `bench` is here, the others have their own files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edge.capture_cli import capture_command
from edge.doctor.cli import doctor_command
from edge.models_cli import models_command
from edge.options import Device, History, Model, Threads, frame_size
from edge.run.cli import run_command
from edge.update.cli import update_command
from quietcam.terminal.options import Json, whole

__all__ = ["mount"]


def mount(app: typer.Typer) -> None:
    """Register this stage's commands."""
    app.command("run")(run_command)
    app.command("capture")(capture_command)
    app.command("bench")(bench_command)
    app.command("models")(models_command)
    app.command("doctor")(doctor_command)
    app.command("update")(update_command)


def bench_command(
    model: Model = None,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Another model, measured in turns with the first one.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames. Default: the model's own.")
    ] = None,
    threads: Threads = None,
    device: Device = "cpu",
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Use the do-no-harm gate, as `run` does.")] = True,
    history: History = True,
    frames: Annotated[
        int, typer.Option(parser=whole(1, 10**6), help="Number of frames of each kind to measure.")
    ] = 200,
    json: Json = None,
) -> None:
    """Measure latency, throughput and memory, and what the runtime adds to the bare network.

    Example: `quietcam bench --model demo --size 640x480 --threads 1 --compare other.tflite`
    """
    from edge.bench import bench
    from edge.child.trial import try_unknown
    from edge.models import resolve_model
    from edge.network.modelfile import load_model
    from edge.table import show_table
    from quietcam.terminal.progress import progress

    wanted = frame_size(size)
    models = [load_model(resolve_model(name, wanted)) for name in (model, *(compare or []))]
    for each in models:
        try_unknown(each, wanted, threads)
    with progress("Measuring", 3 * frames * len(models)) as bar:
        reports = bench(
            models, wanted, threads, frames, device=device, gate=gate, history=history, on_frame=bar.advance
        )
    rows, notes = [], []
    for report in reports:
        often = report["invokes_per_frame"]
        bare = "bare invoke" if often == 1 else f"bare invoke, {often} a frame"
        for kind, meaning in (("invoke", bare), ("denoise", "denoise"), ("pipeline", "pipeline")):
            times = [f"{report[kind][key]:.2f}" if key in report[kind] else "" for key in ("p50", "p95", "p99")]
            rows.append([report["model"], meaning, *times, f"{report[kind]['fps']:.1f}"])
        note = (
            "{model}: the runtime adds {overhead_ms:.2f} ms a frame; the pipeline reaches {pipeline_share:.0%} of bare "
            "invoke"
        ).format(**report)
        if report is not reports[0]:
            note += f", {report['speedup']:.2f} times as fast as {reports[0]['model']}"
        if report["history"]:
            note += "; its history is fed back from frame to frame, as in a run"
        notes.append(note)
    title = "{width}x{height}, threads: {threads}, device: {device}, {runtime}".format(**reports[0])
    notes.append("CPU kernels use {name}. {meaning}".format(**reports[0]["instructions"]))
    notes.append(f"peak memory {reports[-1]['peak_memory_mib']:.0f} MiB")
    content: Any = reports[0] | ({"compared": reports[1:]} if reports[1:] else {})
    show_table(json, content, title, ["model", "", "p50 ms", "p95 ms", "p99 ms", "frames/s"], rows, notes)
