"""Health: what a run counts and how long its stages take, in memory that does not grow."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["STAGES", "Health", "Latency", "peak_memory_mib"]

STAGES = ("capture", "wait", "denoise", "sink", "end_to_end")
"""Getting a frame; its wait for the network; the network; from there until the last sink took it; and all the way from
the sensor (of a file: from having been read) until then."""

_KEPT = 4096
_PERCENTILES = (50, 95, 99)
_RECENT = 64  # frames by which the present rate is measured
_STALE = 5.0  # seconds without a frame after which the present rate is 0


class Latency:
    """The newest ``kept`` durations of one stage."""

    def __init__(self, kept: int = _KEPT) -> None:
        self.count = 0
        self._ring = np.zeros(kept, np.float64)

    def add(self, seconds: float) -> None:
        self._ring[self.count % len(self._ring)] = seconds
        self.count += 1

    def report(self) -> dict[str, float]:
        """``count`` of all, and ``mean``, ``p50``, ``p95``, ``p99``, ``max`` of those kept, in ms."""
        count = self.count
        kept = self._ring[:count] * 1000
        if not len(kept):
            return {"count": 0}
        percentiles = np.percentile(kept, _PERCENTILES)
        return {
            "count": count,
            "mean": round(float(kept.mean()), 3),
            **{f"p{p}": round(float(v), 3) for p, v in zip(_PERCENTILES, percentiles, strict=True)},
            "max": round(float(kept.max()), 3),
        }


class Health:
    """Counts and latencies of one run. Each stage is timed by one thread at a time; any thread may ask for a report.

    What the parts of a run say of themselves is asked for when a report is made: see ``watch``.

    Attributes:
        frames: that at least one sink took.
        dropped: given up for newer ones, from a live camera.
        seconds: from the first capture to the last sink, or until now.
        reloaded: how often the model was replaced.
        reload_error: why the last replacement was refused; None where it was not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.frames = 0
        self.dropped = 0
        self.reloaded = 0
        self.reload_error: str | None = None
        self.stages = {stage: Latency() for stage in STAGES}
        self._clock = clock
        self._began: float | None = None
        self._ended: float | None = None
        self._written = np.zeros(_RECENT, np.float64)
        now = time.time()
        self._parts: dict[str, Callable[[], Any]] = {
            "camera": lambda: {"state": "live", "since": now, "reopened": 0, "reason": None},
            "sinks": list,
            "noise_sigma": lambda: None,
            "device": lambda: None,
            "ladder": lambda: {"step": "full", "reason": None},
            "temperature_c": lambda: None,
        }

    @property
    def seconds(self) -> float:
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def fps(self) -> float:
        """Frames a second over the whole run, its start included."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def fps_now(self) -> float:
        """Frames a second over the newest frames; 0 where none came for some seconds."""
        count = min(self.frames, _RECENT)
        newest = self._written[(self.frames - 1) % _RECENT]
        oldest = self._written[(self.frames - count) % _RECENT]
        if count < 2 or newest <= oldest or (self._ended is None and self._clock() - newest > _STALE):
            return 0.0
        return float((count - 1) / (newest - oldest))

    def began(self) -> None:
        """The run begins now."""
        self._began = self._clock()

    def ended(self) -> None:
        """The run ends now."""
        self._ended = self._clock()

    def written(self, now: float) -> None:
        """One more frame went all the way."""
        self._written[self.frames % _RECENT] = now
        self.frames += 1

    def watch(self, part: str, say: Callable[[], Any]) -> None:
        """Let ``say`` tell what a report holds under ``part``. Any thread may call it, so it must be quick."""
        self._parts[part] = say

    def report(self) -> dict[str, Any]:
        """All of it, for JSON: ``latency_ms`` holds a dictionary for each stage.

        ``camera`` says ``state`` (``live`` or ``lost``), ``since`` (seconds since 1970), ``reopened`` and ``reason``;
        ``sinks`` is a list of what each took and lost; ``noise_sigma`` is in steps of 255; ``device`` says where the
        network runs; ``ladder`` has the ``step`` taken and its ``reason``; what is not known is None.
        """
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "fps_now": round(self.fps_now, 2),
            "latency_ms": {stage: latency.report() for stage, latency in self.stages.items()},
            "reload": {"count": self.reloaded, "error": self.reload_error},
            **{part: say() for part, say in self._parts.items()},
            "peak_memory_mib": round(peak_memory_mib(), 1),
        }


def peak_memory_mib() -> float:
    """The most memory that this process ever held (resident), in MiB."""
    import resource

    with contextlib.suppress(OSError, StopIteration):
        # Linux: the kernel's other figure, below, starts at what the parent held when it forked.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / (1 << 10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
