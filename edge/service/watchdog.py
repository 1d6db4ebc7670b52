"""WatchdogSink: tells the service manager that the run is ready, and that it is alive while frames come through."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edge.run.frame import Frame
from edge.run.health import degradation
from edge.service.notify import Notifier
from edge.sinks.base import Sink
from quietcam.image import Image

__all__ = ["Progress", "WatchdogSink"]

PATIENCE = 600.0
"""Seconds for which a lost camera counts as progress while it is opened again. After that the service manager restarts
the process: some drivers need it."""


class Progress:
    """Decides from the reports of a run whether it makes progress.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._frames = 0
        self._moved = clock()

    def made(self, report: dict[str, Any]) -> bool:
        """Whether frames came through since the last report, or there is a valid reason for none."""
        now = self._clock()
        if report.get("frames", 0) != self._frames:
            self._frames = report.get("frames", 0)
            self._moved = now
            return True
        if (report.get("camera") or {}).get("waiting"):
            return True  # the camera was never connected: a restart does not help
        return lost(report) and now - self._moved < PATIENCE


class WatchdogSink(Sink):
    """Counts frames, and sends ``READY``, ``WATCHDOG``, ``STATUS`` and ``STOPPING``.

    A run is ready when its first frame has come through, or when it reports that its camera is lost.
    """

    name = "systemd"
    observer = True

    def __init__(self, notifier: Notifier, clock: Callable[[], float] = time.monotonic) -> None:
        self._notifier = notifier
        self._progress = Progress(clock)
        self._ready = False

    def write(self, frame: Frame, denoised: Image) -> None:  # noqa: ARG002
        self.frames += 1
        self._say_ready()

    def status(self, report: dict[str, Any]) -> None:
        if lost(report):
            self._say_ready()
        if self._progress.made(report):
            self._notifier.alive()
        self._notifier.status(_line(report))

    def close(self) -> None:
        self._notifier.stopping()

    def discard(self) -> None:
        self.close()

    def _say_ready(self) -> None:
        if not self._ready:
            self._ready = True
            self._notifier.ready()


def lost(report: dict[str, Any]) -> bool:
    """Whether the report says that the camera is lost."""
    return (report.get("camera") or {}).get("state") == "lost"


def _line(report: dict[str, Any]) -> str:
    parts = [_lost(report["camera"])] if lost(report) else _live(report)
    if (report.get("reload") or {}).get("error"):
        parts.append("the last reload failed")
    return ", ".join(parts)


def _lost(camera: dict[str, Any]) -> str:
    return str(camera.get("reason")) if camera.get("waiting") else f"no live video: {camera.get('reason')}"


def _live(report: dict[str, Any]) -> list[str]:
    parts = [f"{report.get('fps_now', 0.0):.1f} frames/s"]
    work = report.get("work") or {}
    if work.get("words"):
        parts.append(work["words"] + (f" ({work['model']})" if work.get("model") else ""))
    denoise = (report.get("latency_ms") or {}).get("denoise") or {}
    if "p50" in denoise:
        parts.append(f"{denoise['p50']:.1f} ms in the network")
    if report.get("temperature_c") is not None:
        parts.append(f"{report['temperature_c']:.0f} °C")
    degraded = degradation(report)
    if degraded is not None:
        parts.append(f"degraded: {degraded.words}")
    return parts
