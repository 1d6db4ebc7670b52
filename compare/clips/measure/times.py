"""What a frame costs: all contenders take turns, so that heat and other processes slow them down equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from compare.clips.contender import ClipContender
from compare.clips.scores import RowTime
from quietcam.image import Image
from quietcam.terminal.progress import progress

__all__ = ["TIMED_FRAMES", "measure_times"]

TIMED_FRAMES = 8
"""Frames of a round."""

_ROUNDS = (3, 15)  # at least, at most
_SECONDS = 4.0  # for each contender


def measure_times(contenders: Sequence[ClipContender], frames: Sequence[Image], threads: int) -> dict[str, RowTime]:
    """The time of one frame by the contender's name. Those that time nothing are left out.

    Args:
        frames: uint8 ``(H, W, 3)`` that follow each other. Each contender denoises all of them in each round.
        threads: how many threads each uses; OpenCV, too.
    """
    import cv2

    rounds: dict[str, list[list[float]]] = {each.name: [] for each in contenders}
    began, before = time.monotonic(), cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        with progress("Timing", None) as bar:
            for number in range(_ROUNDS[1]):
                if number >= _ROUNDS[0] and time.monotonic() - began > _SECONDS * len(contenders):
                    break
                for each in contenders:
                    rounds[each.name].append(each.time(frames, threads))
                bar.advance(len(contenders))
    finally:
        cv2.setNumThreads(before)
    timed = {name: taken for name, taken in rounds.items() if any(taken)}
    first = next((each.name for each in contenders if each.kind == "model" and each.name in timed), None)
    return {name: _summary(taken, timed[first] if first else None) for name, taken in timed.items()}


def _summary(taken: Sequence[Sequence[float]], first: Sequence[Sequence[float]] | None) -> RowTime:
    """Of the seconds of each frame in each round, and of the first model's."""
    ratio = None
    if first is not None:
        pairs = zip(taken, first, strict=True)
        ratio = statistics.median(statistics.median(ours) / statistics.median(theirs) for ours, theirs in pairs)
    ms = 1000.0 * statistics.median(seconds for each in taken for seconds in each)
    return RowTime(round(ms, 3), None if ratio is None else round(ratio, 4))
