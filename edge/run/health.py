"""Health: counts, durations and treatments of a run, in memory that does not grow."""

from __future__ import annotations

import contextlib
import sys
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.network.treatment import KINDS, Rung, Treatment

__all__ = [
    "DURATION_BOUNDS",
    "STAGES",
    "Degradation",
    "Health",
    "Latency",
    "degradation",
    "network_failure",
    "peak_memory_mib",
]

STAGES = ("capture", "wait", "denoise", "sink", "end_to_end")
"""Reading a frame; its wait for the network; the network, if it ran; from there until the last sink took the frame;
and the whole way from the sensor (from a file: from when it was read) to the last sink."""

DURATION_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds, in seconds, of the buckets in which durations are counted. All devices have the same, so that the
counts of a fleet can be added up. 0.033: a frame at 30 a second."""

_KEPT = 4096
_PERCENTILES = (50, 95, 99)
_RECENT = 64  # frames over which the present rate is measured
_STALE = 5.0  # seconds: older values do not count as present


class Latency:
    """The durations of one stage: the newest ``kept`` of them, and all of them as counts.

    Attributes:
        seconds: the sum of all durations.
        counts: how many durations lie in each bucket: up to each of ``DURATION_BOUNDS``, and above the last.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self.count = 0
        self.seconds = 0.0
        self.counts = [0] * (len(DURATION_BOUNDS) + 1)
        self._ring = np.zeros(kept, np.float64)
        self._ended = np.zeros(kept, np.float64)

    def add(self, seconds: float, now: float = 0.0) -> None:
        """Add a duration that ended at ``now``."""
        place = self.count % len(self._ring)
        self._ring[place], self._ended[place] = seconds, now
        self.count += 1
        self.seconds += seconds
        self.counts[bisect_left(DURATION_BOUNDS, seconds)] += 1

    def report(self, since: float | None = None) -> dict[str, float]:
        """``count`` of all durations; and ``mean``, ``p50``, ``p95``, ``p99``, ``max`` in ms of those that are kept and
        ended at ``since`` or later. Only ``count`` if there are none.
        """
        count = self.count
        kept: NDArray[np.float64] = self._ring[:count] * 1000
        if since is not None:
            kept = kept[self._ended[:count] >= since]
        if not len(kept):
            return {"count": count}
        percentiles = np.percentile(kept, _PERCENTILES)
        return {
            "count": count,
            "mean": round(float(kept.mean()), 3),
            **{f"p{p}": round(float(v), 3) for p, v in zip(_PERCENTILES, percentiles, strict=True)},
            "max": round(float(kept.max()), 3),
        }


class Health:
    """Counts and latencies of one run. Each stage is timed by one thread at a time; any thread may ask for a report.

    A report collects the values of the parts of a run: see ``watch``.

    Attributes:
        frames: number of frames that at least one sink took.
        worked: number of frames for each treatment in :data:`edge.network.treatment.KINDS`.
        seconds: from the first capture to the last sink, or until now.
        failing: why the network fails now, and since when (seconds since 1970); None while it works.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.frames = 0
        self.worked = dict.fromkeys(KINDS, 0)
        self.failing: tuple[str, float] | None = None
        self.stages = {stage: Latency() for stage in STAGES}
        self._clock = clock
        self._began: float | None = None
        self._ended: float | None = None
        self._written = np.zeros(_RECENT, np.float64)
        self._treated: tuple[float, Treatment] | None = None
        self._dropped: Callable[[], int] = int
        now = time.time()
        self._parts: dict[str, Callable[[], Any]] = {
            "camera": lambda: {"state": "live", "since": now, "reopened": 0, "reason": None},
            "sinks": list,
            "device": lambda: None,
            "ladder": lambda: {"step": "full", "reason": None},
            "temperature_c": lambda: None,
            "reload": lambda: {"count": 0, "error": None},
            "history": lambda: {"on": False, "forgotten": {}},
            "events": dict,
            "alarms": list,
            "update": lambda: None,
        }
        self._more: Callable[[], dict[str, Any]] = dict

    @property
    def seconds(self) -> float:
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    @property
    def fps(self) -> float:
        """Frames per second over the whole run, including its start."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def dropped(self) -> int:
        """Frames of a live camera that were dropped for newer ones."""
        return self._dropped()

    @property
    def fps_now(self) -> float:
        """Frames per second in the last seconds. It falls to 0 when no more frames come."""
        count = min(self.frames, _RECENT)
        newest = self._written[(self.frames - 1) % _RECENT]
        now = newest if self._ended is not None else max(newest, self._clock())
        times = np.sort(self._written[:count])
        recent = times[max(0, min(int(np.searchsorted(times, now - _STALE)), count - 2)) :]
        if count < 2 or newest <= recent[0] or now - newest > _STALE:
            return 0.0
        return float(min((len(recent) - 1) / (newest - recent[0]), len(recent) / max(now - recent[0], 1e-9)))

    @property
    def treatment(self) -> Treatment | None:
        """The treatment of a live view now; of an ended run, the last one. None after some seconds without frames."""
        treated = self._treated
        if treated is None or (self._ended is None and self._clock() - treated[0] > _STALE):
            return None
        return treated[1]

    def began(self) -> None:
        """Note that the run begins now."""
        self._began = self._clock()

    def ended(self) -> None:
        """Note that the run ends now."""
        self._ended = self._clock()

    def written(self, now: float) -> None:
        """Count a frame that has reached its sinks."""
        self._written[self.frames % _RECENT] = now
        self.frames += 1

    def treated(self, now: float, best: Treatment, view: Treatment) -> None:
        """Count a frame that was treated as ``best``; a live view shows it treated as ``view``."""
        self.worked[best.kind] += 1
        self._treated = now, view

    def count_dropped(self, count: Callable[[], int]) -> None:
        """Set the function that returns how many frames were dropped."""
        self._dropped = count

    def watch(self, part: str, tell: Callable[[], Any]) -> None:
        """Set the function that returns ``part`` of a report. Any thread may call it, so it must be quick."""
        self._parts[part] = tell

    def watch_all(self, tell: Callable[[], dict[str, Any]]) -> None:
        """Set ``tell``, which returns several parts of a report."""
        self._more = tell

    def _failing(self) -> dict[str, Any]:
        """If the network fails, frames pass unchanged, whatever the ladder says."""
        if self.failing is None:
            return {}
        error, since = self.failing
        return {"ladder": {"step": Rung.PASS_THROUGH.value, "reason": f"{_FAILS}: {error}", "since": since}}

    def report(self) -> dict[str, Any]:
        """All values, for JSON: ``latency_ms`` has a dictionary for each stage.

        While frames run, durations are those of the last seconds, and absent where a stage did not run; of a run that
        has ended they are those of its last few thousand frames. ``durations`` has, for each stage, the ``seconds`` and
        the ``counts`` of all durations since the start, as :class:`Latency` has them.

        ``work`` says what is shown now: ``model`` that ran, ``size`` of the frame that it saw, ``share`` of the network
        in the picture with ``gate`` and ``strength`` (0 to 1), ``why`` it has no share, ``history``, the number of
        frames that the network remembered; ``worked``: number of frames by treatment. ``history`` says whether it is
        ``on``, and how often the network had ``forgotten``, by reason. ``camera`` has ``state`` (``live`` or ``lost``),
        ``since`` (seconds since 1970), ``reopened`` and ``reason``; ``sinks`` is a list of what each took and lost;
        ``noise_sigma`` is in steps of 255; ``device`` says where the network runs; ``ladder`` has the present ``step``
        and its ``reason``; ``events`` counts the events of each kind, and ``alarms`` is a list of what each alarm was
        told; ``update`` says which bundle is in use, where the model is that of a slot; unknown values are None.
        """
        since = self._clock() - _STALE if self._ended is None else None
        treatment = self.treatment
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "fps_now": round(self.fps_now, 2),
            "latency_ms": {stage: latency.report(since) for stage, latency in self.stages.items()},
            "durations": {
                stage: {"seconds": round(latency.seconds, 6), "counts": list(latency.counts)}
                for stage, latency in self.stages.items()
            },
            "work": _NO_WORK if treatment is None else treatment.report(),
            "worked": dict(self.worked),
            "noise_sigma": None if treatment is None else treatment.sigma,
            **{part: tell() for part, tell in self._parts.items()},
            **self._more(),
            **self._failing(),
            "peak_memory_mib": round(peak_memory_mib(), 1),
        }


_NO_WORK = dict.fromkeys(Treatment().report())
_FAILS = "the network fails"


def network_failure(report: dict[str, Any]) -> str | None:
    """Why no network runs although one should, according to a ``Health.report``; None if that is not so. The degrade
    ladder may rest the network, which is no failure.
    """
    ladder, device = report.get("ladder") or {}, report.get("device") or {}
    if device.get("used") == "none":
        return f"no device runs the network: {device.get('reason')}"
    reason = str(ladder.get("reason"))
    return reason if reason.startswith(_FAILS) else None


class Degradation(NamedTuple):
    """How a run does less than the user asked for: ``words``, and ``since`` (unix seconds; None if unknown)."""

    words: str
    since: float | None = None


def degradation(report: dict[str, Any]) -> Degradation | None:
    """How frames get less than full treatment, or are not kept, according to a ``Health.report``; None if
    neither is so. A lower strength and clean frames that the do-no-harm gate leaves unchanged do not count.

    Anybody may read it, so it names no file: the log and ``sinks`` say more.
    """
    ladder, device, sinks = (report.get(part) or {} for part in ("ladder", "device", "sinks"))
    found = []
    if ladder.get("step", "full") != "full":
        found.append(Degradation(f"{ladder['step']} ({ladder.get('reason')})", ladder.get("since")))
    elif device.get("used") == "none":
        words = f"pass-through (no device runs the network: {device.get('reason')})"
        found.append(Degradation(words, device.get("since")))
    elif device.get("reason"):
        found.append(Degradation(f"the network runs on {device.get('used')} ({device['reason']})", device.get("since")))
    failing = sum(1 for sink in sinks if sink.get("error") or sink.get("waiting"))
    if failing:
        found.append(Degradation(f"{failing} of {len(sinks)} sinks {'keep' if failing > 1 else 'keeps'} no frames"))
    if not found:
        return None
    return Degradation("; ".join(each.words for each in found), found[0].since)


def peak_memory_mib() -> float:
    """Peak resident memory of this process, in MiB."""
    import resource

    with contextlib.suppress(OSError, StopIteration):
        # Linux: the kernel's other figure, below, starts at the parent's memory at the fork.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / (1 << 10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
