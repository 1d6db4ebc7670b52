"""State: the newest report of the pipeline, and the health of the live video, for the page, /healthz and /metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from edge.run.health import degradation

__all__ = ["STUCK_SECONDS", "HealthAnswer", "State"]

STUCK_SECONDS = 5.0
"""Seconds without a frame after which a camera counts as lost, whatever its state."""


class HealthAnswer(dict[str, Any]):
    """Answer of /healthz: ``state``, ``ok``, ``reason``, and ``since`` (unix seconds) if the state is ``degraded`` or
    ``lost``; other states are ``live``, and ``starting`` before the first frame. Degraded is ok: video is live, and the
    reason says what the frames lack, or that a sink does not keep them.
    """

    @property
    def ok(self) -> bool:
        return bool(self["ok"])


class State:
    """Written by the sink's thread, read by the server's. Readers do not slow the pipeline.

    Args:
        clock: seconds, monotonic.
        wall: unix seconds, for display only: this clock may jump.
        live: the source is a camera, which must keep delivering; a folder of pictures may end.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        live: bool = True,
    ) -> None:
        self._clock, self._wall = clock, wall
        self._live = live
        self._lock = threading.Lock()
        self._report: dict[str, Any] = {}
        self._frames = 0
        self._last_frame = clock()
        self._last_wall = wall()

    def frame(self) -> None:
        """A frame came through."""
        now, wall = self._clock(), self._wall()
        with self._lock:
            self._frames += 1
            self._last_frame, self._last_wall = now, wall

    def update(self, report: dict[str, Any]) -> None:
        """The pipeline's newest report; not to be changed afterwards."""
        with self._lock:
            self._report = report

    @property
    def report(self) -> dict[str, Any]:
        with self._lock:
            return self._report

    def verdict(self) -> HealthAnswer:
        """Whether video is live and fully treated; if not, since when and why."""
        with self._lock:
            silent = self._clock() - self._last_frame
            report = self._report
            since, frames = self._last_wall, self._frames
        camera = report.get("camera") or {}
        if camera.get("state") == "lost":
            reason = camera.get("reason") or "the camera is lost"
            return HealthAnswer(state="lost", ok=False, reason=reason, since=camera.get("since", since))
        if self._live and silent > STUCK_SECONDS:
            reason = "no frame came for some seconds" if frames else "no frame has come yet"
            return HealthAnswer(state="lost", ok=False, reason=reason, since=since)
        if not frames:
            return HealthAnswer(state="starting", ok=True, reason="starting")
        degraded = degradation(report)
        if degraded is not None:
            return HealthAnswer(state="degraded", ok=True, reason=f"degraded: {degraded.words}", since=degraded.since)
        return HealthAnswer(state="live", ok=True, reason="live")
