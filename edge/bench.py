"""Bench: measures the time and memory of models on this machine, and the time that the runtime adds, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

from edge.cameras.synthetic import SyntheticCamera, SyntheticOptions
from edge.network.denoiser import Denoiser
from edge.network.modelfile import ModelFile
from edge.network.runtime.instructions import instructions_here
from edge.run.health import Health, Latency, peak_memory_mib
from edge.run.pipeline import Pipeline
from edge.sinks.null import NullSink
from quietcam.errors import UsageError
from quietcam.image import Image

__all__ = ["bench"]

_WARM_UP = 3  # frames
_RENDERED = 4  # different frames: a camera's driver fills about as many buffers in turn
_ROUNDS = 10  # each round measures everything, so that heat and other programs affect all equally
_BLOCK = 8  # frames of one kind in a row: the gate judges every eighth, so each block contains its cost


def bench(
    models: Sequence[ModelFile],
    size: tuple[int, int] | None = None,
    threads: int | None = None,
    frames: int = 200,
    *,
    device: str = "cpu",
    gate: bool = True,
    strength: float = 1.0,
    history: bool = True,
    on_frame: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure for each model, in turns: bare ``invoke``, the denoiser around it, and the pipeline around that.

    Args:
        size: ``(width, height)`` of the frames. Defaults to the first model's own.
        threads: as for :class:`edge.network.interpreter.Interpreter`.
        frames: number of frames for each kind and model, at least 1.
        device, gate, strength, history: as for :class:`edge.network.denoiser.Denoiser`. A video network's history is
            fed back from frame to frame, as in a run.
        on_frame: called after each frame, three times ``frames`` for a model.

    Returns:
        A report for each model, for JSON. ``invoke`` and ``denoise`` hold latencies in ms and ``fps``, ``pipeline``
        holds ``fps``. ``history`` tells whether the network remembers. ``overhead_ms`` is the denoiser's mean minus
        that of the invokes of a frame; ``pipeline_share`` is the pipeline's throughput divided by that of bare invoke;
        both are medians over the rounds. ``speedup`` is the first model's median of bare invoke divided by this one's.
        ``peak_memory_mib`` is that of the process.

    Raises:
        UsageError: ``frames``, ``threads`` or ``device`` is not valid.
        ModelError: this runtime cannot run a model.
        DeviceError: no device starts.
    """
    if frames < 1:
        raise UsageError(f"A measurement needs at least 1 frame. Received: frames={frames}.")
    width, height = size or (models[0].width, models[0].height)
    camera = SyntheticCamera(SyntheticOptions(size=(width, height), fps=None, rendered=_RENDERED))
    subjects: list[_Subject] = []
    with camera:
        images = [frame.image for frame, _ in zip(camera, range(_RENDERED), strict=False)]
        try:
            for model in models:
                denoiser = Denoiser(
                    model, threads, device=device, gate=gate, strength=strength, stream=True, history=history
                )
                subjects.append(_Subject(denoiser, images, on_frame or (lambda: None)))
            for count in _rounds(frames):
                for subject in subjects:
                    subject.measure(count, camera)
            first = subjects[0].bare.report()["p50"]
            return [subject.report(first) for subject in subjects]
        finally:
            for subject in subjects:
                subject.denoiser.close()


class _Subject:
    """One model with its measurements."""

    def __init__(self, denoiser: Denoiser, images: list[Image], tick: Callable[[], None]) -> None:
        self.denoiser, self.bare, self.whole = denoiser, Latency(), Latency()
        self._images, self._tick = cycle(images), tick
        self._height, self._width = images[0].shape[:2]
        self._invokes = denoiser.tiles(self._height, self._width) * (3 // denoiser.model.channels)
        self._out = images[0].copy()
        self._frames, self._seconds = 0, 0.0
        self._added: list[float] = []  # for each round: seconds per frame
        self._shares: list[float] = []
        for work in (self._denoise, self._invoke):
            for _ in range(_WARM_UP):
                work()

    def measure(self, count: int, camera: SyntheticCamera) -> None:
        """Measure ``count`` frames of each kind."""
        spent = [0.0, 0.0]
        for start in range(0, count, _BLOCK):
            for kind, (latency, work) in enumerate(((self.bare, self._invoke), (self.whole, self._denoise))):
                for _ in range(min(_BLOCK, count - start)):
                    seconds = _seconds(work)
                    latency.add(seconds)
                    spent[kind] += seconds
                    self._tick()
        piped = self._pipe(count, camera)
        self._frames += count
        self._seconds += piped
        self._added.append((spent[1] - spent[0]) / count)
        self._shares.append(spent[0] / piped)

    def report(self, first: float) -> dict[str, Any]:
        invoke, denoise = _with_rate(self.bare.report()), _with_rate(self.whole.report())
        return {
            "model": self.denoiser.model.name,
            "runtime": self.denoiser.runtime,
            "threads": self.denoiser.threads,
            "device": self.denoiser.device_state["used"],
            "instructions": instructions_here().report(),
            "width": self._width,
            "height": self._height,
            "history": self.denoiser.report()["history"]["on"],
            "invokes_per_frame": self._invokes,
            "invoke": invoke,
            "denoise": denoise,
            "pipeline": {"count": self._frames, "fps": round(self._frames / self._seconds, 2)},
            "overhead_ms": round(1000 * statistics.median(self._added), 3),
            "pipeline_share": round(statistics.median(self._shares), 3),
            "speedup": round(first / invoke["p50"], 3),
            "peak_memory_mib": round(peak_memory_mib(), 1),
        }

    def _pipe(self, count: int, camera: SyntheticCamera) -> float:
        """Seconds that ``count`` frames take in the pipeline, after a few frames to warm up."""
        ends: list[float] = []

        def note(_: Health) -> None:
            ends.append(time.perf_counter())
            if len(ends) > _WARM_UP:
                self._tick()

        Pipeline(camera, self.denoiser, [NullSink()]).run(count + _WARM_UP, on_frame=note)
        return ends[-1] - ends[_WARM_UP - 1]

    def _invoke(self) -> None:
        for _ in range(self._invokes):
            self.denoiser.interpreter.invoke()

    def _denoise(self) -> None:
        self.denoiser.denoise(next(self._images), self._out)


def _rounds(frames: int) -> Iterator[int]:
    """The number of frames in each round: ``frames`` in all, spread evenly."""
    rounds = min(_ROUNDS, frames)
    for number in range(rounds):
        yield frames * (number + 1) // rounds - frames * number // rounds


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _with_rate(report: dict[str, float]) -> dict[str, float]:
    """``report`` and ``fps``: frames per second at its mean duration."""
    return report | {"fps": round(1000 / report["mean"], 2)}
