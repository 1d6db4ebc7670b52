"""The report of a run as Prometheus metrics, from a registry of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from edge.network.treatment import Rung
from edge.run.health import DURATION_BOUNDS
from quietcam.files.text import valid_text

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """``text()`` is what Prometheus scrapes: our metrics, all in base units (seconds, bytes, °C), and those of the
    process under their usual names (``process_start_time_seconds`` and others).

    Args:
        status: returns the status of the page, as :meth:`edge.web.app.App.status` does.
    """

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        from prometheus_client import CollectorRegistry, ProcessCollector

        self._status = status
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Empty, so that registering does not ask for values."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        status = self._status()
        for part in (_numbers, _stages, _counts, _sinks, _infos, _ladder):
            yield from part(status)


def _numbers(status: dict[str, Any]) -> Iterator[Metric]:
    """Metrics without labels. A value that is unknown has none."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, path, text in _COUNTERS:
        if (value := _number(status, path)) is not None:
            yield CounterMetricFamily(f"quietcam_{name}", text, value=value)
    for name, path, text in _GAUGES:
        if (value := _number(status, path)) is not None:
            yield GaugeMetricFamily(f"quietcam_{name}", text, value=value * _FACTORS.get(path, 1))


def _number(status: dict[str, Any], path: str) -> float | None:
    """The number at ``path``, such as ``camera.reopened``; None if it is unknown."""
    value: Any = status
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _stages(status: dict[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import HistogramMetricFamily

    text = "Durations of each stage of a frame; end_to_end is from the sensor to the last sink."
    stages = HistogramMetricFamily("quietcam_stage_duration_seconds", text, labels=["stage"])
    bounds = [*map(str, DURATION_BOUNDS), "+Inf"]
    for stage, told in (status.get("durations") or {}).items():
        buckets = zip(bounds, itertools.accumulate(told["counts"]), strict=True)
        stages.add_metric([stage], list(buckets), told["seconds"])
    yield stages


def _counts(status: dict[str, Any]) -> Iterator[Metric]:
    """Counters with one label."""
    from prometheus_client.core import CounterMetricFamily

    history = status.get("history") or {}
    for name, label, found, text in (
        ("events", "event", status.get("events"), "Events by their kind."),
        ("frames_worked", "work", status.get("worked"), "Frames by what was done to them."),
        (
            "history_forgotten",
            "why",
            history.get("forgotten"),
            "How often a video network forgot the frames before, by reason.",
        ),
    ):
        family = CounterMetricFamily(f"quietcam_{name}", text, labels=[label])
        for value, count in (found or {}).items():
            family.add_metric([value], count)
        yield family


def _sinks(status: dict[str, Any]) -> Iterator[Metric]:
    """The counts and the gauges of each sink. Of sinks of the same name, values are added up."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    works: dict[str, bool] = {}
    totals: dict[tuple[str, str], float] = {}
    for sink in status.get("sinks") or []:
        name = valid_text(str(sink.get("name")))
        well = not (sink.get("error") or sink.get("waiting")) and sink.get("connected") is not False
        works[name] = works.get(name, True) and well
        for key, value in sink.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                totals[name, key] = totals.get((name, key), 0) + value
    up = GaugeMetricFamily(
        "quietcam_sink_up", "1 while a sink works, 0 while it fails, waits or has no connection.", labels=["sink"]
    )
    frames = CounterMetricFamily("quietcam_sink_frames", "Frames that a sink took.", labels=["sink"])
    size = GaugeMetricFamily(
        "quietcam_sink_bytes", "Bytes that the frames of a sink take on its disk.", labels=["sink"]
    )
    others = CounterMetricFamily("quietcam_sink_events", "Other counts of a sink.", labels=["sink", "event"])
    states = GaugeMetricFamily("quietcam_sink_state", "Present counts of a sink.", labels=["sink", "what"])
    for name, well in works.items():
        up.add_metric([name], well)
    for (name, key), value in totals.items():
        if key in _ALONE:
            (frames if key == "frames" else size).add_metric([name], value)
        else:
            (others if key in _EVENTS else states).add_metric([name, key], value)
    yield from (up, frames, size, others, states)


def _infos(status: dict[str, Any]) -> Iterator[Metric]:
    """Metrics that carry text in their labels."""
    from prometheus_client.core import GaugeMetricFamily

    def info(metric: str, text: str, /, **labels: Any) -> Metric:
        family = GaugeMetricFamily(f"quietcam_{metric}_info", text, labels=list(labels))
        family.add_metric(["" if value is None else valid_text(str(value)) for value in labels.values()], 1)
        return family

    model, work = status.get("model") or {}, status.get("work") or {}
    if status.get("device_id"):
        text = "The machine: a name for it that stays the same, and the version of quietcam."
        yield info("device", text, device_id=status["device_id"], version=status.get("version"))
    text = "The model that the user chose, and the SHA-256 of its file."
    yield info("model", text, name=model.get("name"), recipe=model.get("recipe"), sha256=model.get("sha256"))
    if update := status.get("update"):
        yield info(
            "update", "The bundle in use, and the one to go back to.", version=update["version"], back=update["back"]
        )
    if work.get("model"):
        yield info("network", "The network that runs now.", name=work["model"], size=work.get("size"))


def _ladder(status: dict[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    step = (status.get("ladder") or {}).get("step")
    if step is None:
        return
    steps = [rung.value for rung in Rung]
    ladder = GaugeMetricFamily("quietcam_ladder", "1 at the ladder's present step.", labels=["step"])
    for each in steps:
        ladder.add_metric([each], each == step)
    yield ladder
    text = f"The ladder's present step as a number: {', '.join(f'{n} {each}' for n, each in enumerate(steps))}."
    yield GaugeMetricFamily("quietcam_ladder_step", text, value=steps.index(step))


_ALONE = frozenset({"frames", "bytes"})
"""Numbers in a sink's report that have a metric of their own."""

_EVENTS = frozenset(
    {
        "untouched",
        "dropped",
        "failed",
        "stored",
        "stored_untouched",
        "missed",
        "sent",
        "connections",
        "over_budget",
        "evicted",
        "encoded",
        "events_lost",
    }
)
"""Counters in a sink's report. All other numbers in it are gauges."""

_COUNTERS = (
    ("frames", "frames", "Frames that passed all stages."),
    ("frames_dropped", "dropped", "Frames dropped for newer ones."),
    ("frames_encoded", "encoded", "Pictures encoded for viewers, all views together."),
    ("camera_reopened", "camera.reopened", "How often the camera was opened again."),
    ("reloads", "reload.count", "How often another model took over."),
)
_GAUGES = (
    ("up", "live", "1 while there is live video, 0 when the camera is lost or stuck."),
    ("degraded", "degraded", "1 while frames get less than full treatment or a sink does not keep them, else 0."),
    ("frames_per_second", "fps", "Frames a second in the last seconds."),
    ("temperature_celsius", "temperature_c", "Temperature of the processor."),
    ("noise_sigma", "noise_sigma", "Estimated noise of the frames, in steps of 255."),
    ("strength", "strength", "The strength that is set: how much of the network is shown at most, 0 to 1."),
    ("network_share", "work.share", "Share of the network in the picture, by ladder, gate and strength, 0 to 1."),
    ("history_frames", "work.history", "Frames before that the network remembered for the last frame."),
    ("viewers", "viewers", "Streams that viewers watch."),
    ("memory_peak_bytes", "peak_memory_mib", "Peak memory of the process."),
    ("update_on_trial", "update.on_trial", "1 while a bundle is on trial."),
    ("update_trial_seconds", "update.trial.seconds", "Seconds with frames of the trial so far."),
    ("update_failed", "update.checked.failed", "1 if the last look for an update failed, else 0."),
    ("update_checked_timestamp_seconds", "update.checked.time", "When it last looked for an update, by its own clock."),
)
_FACTORS = {"peak_memory_mib": 1 << 20}
"""What turns a value of the report into base units."""
