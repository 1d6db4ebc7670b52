"""Health: what a run counts and how long its stages take, in memory that does not grow."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["STAGES", "Health", "Latency", "peak_memory_mib"]

STAGES = ("capture", "wait", "denoise", "sink", "end_to_end")
"""Getting a frame; its wait for the network; the network; all sinks; and all the way from the sensor (of a
file: from having been read) until it is written."""

_KEPT = 4096
_PERCENTILES = (50, 95, 99)


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
        kept = self._ring[: self.count] * 1000
        if not len(kept):
            return {"count": 0}
        percentiles = np.percentile(kept, _PERCENTILES)
        return {
            "count": self.count,
            "mean": round(float(kept.mean()), 3),
            **{f"p{p}": round(float(v), 3) for p, v in zip(_PERCENTILES, percentiles, strict=True)},
            "max": round(float(kept.max()), 3),
        }


class Health:
    """Counts and latencies of one run. Each stage is timed by one thread only.

    Attributes:
        frames: that went all the way.
        dropped: given up for newer ones, from a live camera.
        seconds: from the first capture to the last sink.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.dropped = 0
        self.seconds = 0.0
        self.stages = {stage: Latency() for stage in STAGES}

    @property
    def fps(self) -> float:
        """Frames a second over the whole run, its start included."""
        return self.frames / self.seconds if self.seconds else 0.0

    def report(self) -> dict[str, Any]:
        """All of it, for JSON: ``latency_ms`` holds a dictionary for each stage."""
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "latency_ms": {stage: latency.report() for stage, latency in self.stages.items()},
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
