"""What a model costs on this machine, and what the runtime adds to it, measured in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.denoiser import Denoiser
from edge.health import Latency, peak_memory_mib
from edge.modelfile import ModelFile
from edge.pipeline import Pipeline
from edge.sinks.null import NullSink
from quietcam.errors import UsageError

__all__ = ["bench"]

_WARM_UP = 3  # frames
_BLOCK = 5  # frames of one kind in a row, so that heat and neighbours hit both kinds alike


def bench(
    model: ModelFile,
    size: tuple[int, int] | None = None,
    threads: int | None = None,
    frames: int = 200,
    on_frame: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Measure bare ``invoke``, the denoiser around it, and the whole pipeline around that.

    Args:
        size: ``(width, height)`` of the frames. Defaults to the model's own.
        threads: as for :class:`edge.interpreter.Interpreter`.
        frames: of each of the three, at least 1.
        on_frame: called after each, three times ``frames`` in all.

    Returns:
        for JSON: ``invoke`` and ``denoise`` with latencies in ms, and like ``pipeline`` with ``fps``;
        ``overhead_ms``, the denoiser's median above that of the invokes of a frame; ``pipeline_share``, the
        pipeline's throughput by that of bare invoke; what was measured; ``peak_memory_mib`` of the process.

    Raises:
        UsageError: ``frames`` or ``threads`` below 1.
        ModelError: this runtime cannot run the model.
    """
    if frames < 1:
        raise UsageError(f"A measurement needs at least 1 frame. Received: frames={frames}.")
    width, height = size or (model.width, model.height)
    tick = on_frame or (lambda: None)
    camera = SyntheticCamera(SyntheticOptions(size=(width, height), fps=None, frames=frames))
    with Denoiser(model, threads) as denoiser, camera:
        invokes = denoiser.tiles(height, width) * (3 // model.channels)
        images = cycle([frame.image for frame, _ in zip(camera, range(8), strict=False)])

        def invoke() -> None:
            for _ in range(invokes):
                denoiser.interpreter.invoke()

        def denoise() -> None:
            denoiser.denoise(next(images))

        bare, whole = Latency(frames), Latency(frames)
        for work in (denoise, invoke):
            for _ in range(_WARM_UP):
                work()
        while whole.count < frames:
            for latency, work in ((bare, invoke), (whole, denoise)):
                for _ in range(min(_BLOCK, frames - latency.count)):
                    latency.add(_seconds(work))
                    tick()
        health = Pipeline(camera, denoiser, [NullSink()]).run(on_frame=lambda _: tick())
        invoke_report, denoise_report = _with_rate(bare.report()), _with_rate(whole.report())
        return {
            "model": model.name,
            "runtime": denoiser.interpreter.runtime,
            "threads": denoiser.interpreter.threads,
            "width": width,
            "height": height,
            "invokes_per_frame": invokes,
            "invoke": invoke_report,
            "denoise": denoise_report,
            "pipeline": {"count": health.frames, "fps": round(health.fps, 2)},
            "overhead_ms": round(denoise_report["p50"] - invoke_report["p50"], 3),
            "pipeline_share": round(health.fps / invoke_report["fps"], 3),
            "peak_memory_mib": round(peak_memory_mib(), 1),
        }


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _with_rate(report: dict[str, float]) -> dict[str, float]:
    """With the frames a second that the mean duration allows."""
    return report | {"fps": round(1000 / report["mean"], 2)}
