"""The report of a run as Prometheus metrics, from a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """``text()`` is what Prometheus scrapes.

    Args:
        status: what the page is told, as :meth:`edge.web.app.App.status` gives it.
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
        """Nothing beforehand: so registering asks for no values."""
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
        latency = GaugeMetricFamily(
            "quietcam_latency_seconds", "Newest durations of a stage, by quantile.", labels=["stage", "quantile"]
        )
        done = CounterMetricFamily("quietcam_stage_frames", "Frames that a stage has done.", labels=["stage"])
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
        sinks = [each for each in status.get("sinks") or [] if isinstance(each, dict)]
        frames = CounterMetricFamily("quietcam_sink_frames", "Frames that a sink took.", labels=["sink"])
        others = CounterMetricFamily("quietcam_sink_events", "What else a sink counts.", labels=["sink", "event"])
        for sink in sinks:
            frames.add_metric([str(sink.get("name"))], sink.get("frames", 0))
            for key, value in sink.items():
                if key != "frames" and isinstance(value, int) and not isinstance(value, bool):
                    others.add_metric([str(sink.get("name")), key], value)
        yield frames
        yield others
        model = status.get("model") or {}
        info = GaugeMetricFamily("quietcam_model_info", "The model that is running.", labels=["name", "recipe"])
        info.add_metric([str(model.get("name")), str(model.get("recipe"))], 1)
        yield info


_COUNTERS = (
    ("frames", "frames", "Frames that went all the way."),
    ("frames_dropped", "dropped", "Frames given up for newer ones."),
    ("frames_encoded", "encoded", "Pictures encoded for viewers, all views together."),
)
_GAUGES = (
    ("up", "live", "1 while there is live video, 0 when the camera is lost or stuck."),
    ("frames_per_second", "fps", "Frames a second in the last seconds."),
    ("temperature_celsius", "temperature_c", "Of the processor."),
    ("noise_sigma", "noise_sigma", "Estimated noise of the frames, in steps of 255."),
    ("strength", "strength", "How much is denoised, 0 to 1."),
    ("viewers", "viewers", "Streams being watched."),
    ("memory_peak_mebibytes", "peak_memory_mib", "The most memory the process ever held."),
)
