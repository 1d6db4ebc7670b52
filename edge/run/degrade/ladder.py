"""Ladder: reduces work rung by rung while the device is hot or frames are late, and then goes up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.network.treatment import Rung
from quietcam.backoff import Backoff

__all__ = ["Ladder", "LadderRules"]


@dataclass(frozen=True)
class LadderRules:
    """When the ladder changes its rung.

    Attributes:
        hot, cool: °C. At ``hot`` or above it goes down, at ``cool`` or below it may go up again.
        late, punctual: the same for the share of late frames.
        settle: seconds that trouble must last before it goes down, and between two moves down: the effect of a move
            shows only after a while.
        recover: seconds without trouble before it goes up. If going up brought the trouble back, the next attempt
            waits twice as long, up to ``longest``.
    """

    hot: float = 80.0
    cool: float = 72.0
    late: float = 0.2
    punctual: float = 0.02
    settle: float = 5.0
    recover: float = 60.0
    longest: float = 960.0


class Ladder:
    """Decides which rung to use. It gets the time and the temperature, and measures nothing itself.

    Args:
        rungs: from the most work to the least.
        rules: when to change the rung.
    """

    def __init__(self, rungs: Sequence[Rung] = tuple(Rung), rules: LadderRules | None = None) -> None:
        self._rungs = tuple(rungs)
        self._rules = rules or LadderRules()
        self._place = 0
        self._trouble_since: float | None = None
        self._calm_since: float | None = None
        self._changed = float("-inf")
        self._went_up = float("-inf")
        self._patience = Backoff(self._rules.recover, self._rules.longest)
        self.reason: str | None = None

    @property
    def rung(self) -> Rung:
        """The present rung."""
        return self._rungs[self._place]

    def report(self) -> dict[str, Any]:
        """For JSON: the present rung as ``step``, and the ``reason`` for it; None on the top rung."""
        return {"step": self.rung.value, "reason": self.reason}

    def update(
        self, now: float, temperature: float | None = None, throttled: str | None = None, late: float | None = None
    ) -> bool:
        """Update the ladder with the present state, about once a second.

        Args:
            now: seconds, monotonic.
            temperature: °C; None if it is unknown.
        throttled: the cause that slows the processor, from the firmware; None if there is none.
            late: the share of frames since the last update that missed their deadline; None without frames.

        Returns:
            Whether the rung changed.
        """
        trouble = self._trouble(temperature, throttled, late)
        calm = trouble is None and self._calm(temperature, late)
        if trouble is None:
            self._trouble_since = None
        elif self._trouble_since is None:
            self._trouble_since = now
        if not calm:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        if trouble is not None and self._trouble_since is not None and self._place + 1 < len(self._rungs):
            return self._maybe_down(now, min(now - self._trouble_since, now - self._changed), trouble)
        if self._calm_since is not None and now - self._calm_since >= self._patience.next:
            return self._up(now)
        return False

    def _maybe_down(self, now: float, lasted: float, trouble: str) -> bool:
        if lasted < self._rules.settle:
            return False
        if now - self._went_up < 2 * self._rules.recover:
            self._patience.failed()
        self._place += 1
        self._changed, self._trouble_since, self.reason = now, None, trouble
        return True

    def _up(self, now: float) -> bool:
        self._calm_since = now
        if self._place == 0:
            self._patience.reset()
            return False
        self._place -= 1
        self._changed = self._went_up = now
        if self._place == 0:
            self.reason = None
        return True

    def _trouble(self, temperature: float | None, throttled: str | None, late: float | None) -> str | None:
        if throttled is not None:
            return throttled
        if temperature is not None and temperature >= self._rules.hot:
            return f"{temperature:.0f} °C, of at most {self._rules.hot:.0f}"
        if late is not None and late >= self._rules.late:
            return f"{late:.0%} of the frames are late"
        return None

    def _calm(self, temperature: float | None, late: float | None) -> bool:
        cool = temperature is None or temperature <= self._rules.cool
        return cool and (late is None or late <= self._rules.punctual)
