"""The report of a run as Prometheus metrics, from a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from edge.network.treatment import Rung
from quietcam.files.text import valid_text

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """``text()`` is what Prometheus scrapes.

    Args:
        status: returns the status of the page, as :meth:`edge.web.app.App.status` does.
    """

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        from prometheus_client import CollectorRegistry

        self._status = status
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Empty, so that registering does not ask for values."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self._status()
        for name, key, text in _COUNTERS:
            if isinstance(status.get(key), int | float):
                yield CounterMetricFamily(f"quietcam_{name}", text, value=status[key])
        for name, key, text in _GAUGES:
            if isinstance(status.get(key), int | float):
                yield GaugeMetricFamily(f"quietcam_{name}", text, value=float(status[key]))
        text = "Durations of a stage in the last seconds, by quantile."
        latency = GaugeMetricFamily("quietcam_latency_seconds", text, labels=["stage", "quantile"])
        done = CounterMetricFamily("quietcam_stage_frames", "Frames that a stage has processed.", labels=["stage"])
        for stage, report in (status.get("latency_ms") or {}).items():
            done.add_metric([stage], report.get("count", 0))
            for key, quantile in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99")):
                if key in report:
                    latency.add_metric([stage, quantile], report[key] / 1000)
        yield latency
        yield done
        camera = status.get("camera") or {}
        reopened = camera.get("reopened")
        if isinstance(reopened, int):
            yield CounterMetricFamily(
                "quietcam_camera_reopened", "How often the camera was opened again.", value=reopened
            )
        worked = CounterMetricFamily("quietcam_frames_worked", "Frames by what was done to them.", labels=["work"])
        for kind, count in (status.get("worked") or {}).items():
            worked.add_metric([kind], count)
        yield worked
        yield from _history(status)
        yield from _sinks(status)
        yield from _infos(status)


def _history(status: dict[str, Any]) -> Iterator[Metric]:
    """What a video network remembers, and how often it forgot."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    text = "How often a video network forgot the frames before, by reason."
    forgotten = CounterMetricFamily("quietcam_history_forgotten", text, labels=["why"])
    for why, count in ((status.get("history") or {}).get("forgotten") or {}).items():
        forgotten.add_metric([why], count)
    yield forgotten
    frames = (status.get("work") or {}).get("history")
    if isinstance(frames, int):
        text = "Frames before that the network remembered for the last frame."
        yield GaugeMetricFamily("quietcam_history_frames", text, value=frames)


def _sinks(status: dict[str, Any]) -> Iterator[Metric]:
    """The counts and the gauges of each sink; sinks of the same name are added up."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    totals: dict[tuple[str, str], float] = {}
    for sink in status.get("sinks") or []:
        for key, value in sink.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                of = valid_text(str(sink.get("name"))), key
                totals[of] = totals.get(of, 0) + value
    frames = CounterMetricFamily("quietcam_sink_frames", "Frames that a sink took.", labels=["sink"])
    others = CounterMetricFamily("quietcam_sink_events", "Other counts of a sink.", labels=["sink", "event"])
    states = GaugeMetricFamily("quietcam_sink_state", "Present values of a sink.", labels=["sink", "what"])
    for (name, key), value in totals.items():
        if key == "frames":
            frames.add_metric([name], value)
        else:
            (others if key in _EVENTS else states).add_metric([name, key], value)
    yield from (frames, others, states)


def _infos(status: dict[str, Any]) -> Iterator[Metric]:
    """Metrics that carry text in their labels."""
    from prometheus_client.core import GaugeMetricFamily

    model, work = status.get("model") or {}, status.get("work") or {}
    info = GaugeMetricFamily("quietcam_model_info", "The model that the user chose.", labels=["name", "recipe"])
    info.add_metric([valid_text(str(model.get(key))) for key in ("name", "recipe")], 1)
    yield info
    if work.get("model"):
        running = GaugeMetricFamily("quietcam_network_info", "The network that runs now.", labels=["name", "size"])
        running.add_metric([valid_text(str(work.get(key))) for key in ("model", "size")], 1)
        yield running
    if isinstance(work.get("share"), int | float):
        text = "Share of the network in the picture, by ladder, gate and strength, 0 to 1."
        yield GaugeMetricFamily("quietcam_network_share", text, value=float(work["share"]))
    step = (status.get("ladder") or {}).get("step")
    if step is not None:
        ladder = GaugeMetricFamily("quietcam_ladder", "1 at the ladder's present step.", labels=["step"])
        for each in Rung:
            ladder.add_metric([each.value], each.value == step)
        yield ladder


_EVENTS = frozenset(
    {"untouched", "dropped", "failed", "stored", "stored_untouched", "missed", "over_budget", "evicted", "encoded"}
)
"""Counters in a sink's report. All other numbers in it are gauges."""

_COUNTERS = (
    ("frames", "frames", "Frames that passed all stages."),
    ("frames_dropped", "dropped", "Frames dropped for newer ones."),
    ("frames_encoded", "encoded", "Pictures encoded for viewers, all views together."),
)
_GAUGES = (
    ("up", "live", "1 while there is live video, 0 when the camera is lost or stuck."),
    ("degraded", "degraded", "1 while frames get less than full treatment or a sink does not keep them, else 0."),
    ("frames_per_second", "fps", "Frames a second in the last seconds."),
    ("temperature_celsius", "temperature_c", "Temperature of the processor."),
    ("noise_sigma", "noise_sigma", "Estimated noise of the frames, in steps of 255."),
    ("strength", "strength", "The strength that is set: how much of the network is shown at most, 0 to 1."),
    ("viewers", "viewers", "Streams that viewers watch."),
    ("memory_peak_mebibytes", "peak_memory_mib", "Peak memory of the process."),
)
