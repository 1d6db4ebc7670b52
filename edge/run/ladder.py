"""The degrade ladder: less work, step by step, when the device gets hot or frames come late; and back up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.network.treatment import Rung
from quietcam.backoff import Backoff

__all__ = ["Ladder", "LadderRules"]


@dataclass(frozen=True)
class LadderRules:
    """When a step is taken.

    Attributes:
        hot, cool: °C; from ``hot`` on the ladder goes down, up to ``cool`` it may go up again.
        late, punctual: the shares of late frames at which it does so.
        settle: seconds that trouble must last before a step down, and between two of them: what a step brings
            shows only after a while.
        recover: seconds without trouble before a step up. Where the step up brought the trouble back, the next one
            takes twice as long, up to ``longest``.
    """

    hot: float = 80.0
    cool: float = 72.0
    late: float = 0.2
    punctual: float = 0.02
    settle: float = 5.0
    recover: float = 60.0
    longest: float = 960.0


class Ladder:
    """Decides, from what it is told, which step to take. It reads no clock and no sensor itself.

    Args:
        steps: from the most work to the least.
        rules: when to take one.
    """

    def __init__(self, steps: Sequence[Rung] = tuple(Rung), rules: LadderRules | None = None) -> None:
        self._steps = tuple(steps)
        self._rules = rules or LadderRules()
        self._place = 0
        self._trouble_since: float | None = None
        self._calm_since: float | None = None
        self._changed = float("-inf")
        self._went_up = float("-inf")
        self._patience = Backoff(self._rules.recover, self._rules.longest)
        self.reason: str | None = None

    @property
    def step(self) -> Rung:
        """The step taken now."""
        return self._steps[self._place]

    def report(self) -> dict[str, Any]:
        """For JSON: ``step``, and the ``reason`` for it, None at the top."""
        return {"step": self.step.value, "reason": self.reason}

    def update(
        self, now: float, temperature: float | None = None, throttled: str | None = None, late: float | None = None
    ) -> bool:
        """Tell it how things are; about once a second.

        Args:
            now: seconds, monotonic.
            temperature: °C; None where it is not known.
            throttled: what the firmware says is holding the processor back; None where nothing does.
            late: the share of frames since the last update that missed their deadline; None where none came.

        Returns:
            whether the step changed.
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
        if trouble is not None and self._trouble_since is not None and self._place + 1 < len(self._steps):
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
