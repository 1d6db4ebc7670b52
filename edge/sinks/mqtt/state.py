"""The state that MQTT publishes: one flat JSON object, so that templates of home automation stay short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quietcam.terminal.secrets import shown_values

__all__ = ["mqtt_state"]


def mqtt_state(report: Mapping[str, Any], verdict: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """The state. Values that are unknown are None.

    Args:
        report: :meth:`edge.run.health.Health.report`.
        verdict: :meth:`edge.web.state.State.verdict`.
        about: :meth:`edge.web.controls.RunControls.describe`.
    """
    work, camera = report.get("work") or {}, report.get("camera") or {}
    share, noise = work.get("share"), report.get("noise_sigma")
    state = {
        "state": verdict["state"],
        "live": verdict["state"] in ("live", "degraded"),
        "reason": None if verdict["state"] == "live" else verdict["reason"],
        "fps": report.get("fps_now"),
        "noise": None if noise is None else round(noise, 2),
        "share_percent": None if share is None else round(100 * share, 1),
        "temperature": report.get("temperature_c"),
        "latency_ms": ((report.get("latency_ms") or {}).get("end_to_end") or {}).get("p50"),
        "ladder": (report.get("ladder") or {}).get("step"),
        "history": work.get("history"),
        "model": (about.get("model") or {}).get("name"),
        "source": about.get("source"),
        "frames": report.get("frames"),
        "dropped": report.get("dropped"),
        "reopened": camera.get("reopened"),
        "stored": _total(report, "stored"),
        "missed": _total(report, "missed"),
        "device_id": about.get("device_id"),
        "version": about.get("version"),
    }
    return {key: shown_values(value) for key, value in state.items()}


def _total(report: Mapping[str, Any], key: str) -> int | None:
    """A count of all sinks that have it."""
    found = [sink[key] for sink in report.get("sinks") or [] if isinstance(sink.get(key), int)]
    return sum(found) if found else None
