"""Times: the ticks of a video's frames, from the times of the frames."""

from __future__ import annotations

from edge.sinks.video.encoder import TICKS

__all__ = ["LEAP", "Times"]

LEAP = 60.0
"""Seconds between two frames: after a longer time the video does not stand still so long."""


class Times:
    """Gives each frame its tick: 0 for the first, then as its time says.

    Ticks always grow. Where a frame's time does not, or leaps by more than ``LEAP``, the frame follows the one before
    at the nominal rate, and later ones follow it as their times say.

    Args:
        fps: nominal frames a second.
    """

    def __init__(self, fps: float) -> None:
        self._nominal = max(1, round(TICKS / fps))
        self._origin = 0.0
        self._last: int | None = None
        self.interval = self._nominal
        """Ticks between the last two frames; at first the nominal ones."""

    def tick(self, seconds: float) -> int:
        """The tick of a frame that was taken at ``seconds``."""
        if self._last is None:
            self._origin, self._last = seconds, 0
            return 0
        tick = round((seconds - self._origin) * TICKS)
        if not 0 < tick - self._last <= LEAP * TICKS:
            tick = self._last + self._nominal
            self._origin = seconds - tick / TICKS
        self.interval = tick - self._last
        self._last = tick
        return tick
