"""How long a phase of training takes, and how its learning rate rises and falls within that."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Budget", "rate"]

_WARM_UP = 0.05


@dataclass(frozen=True)
class Budget:
    """How long a phase may take: it ends when its steps or its minutes are used, whichever comes first."""

    steps: int
    minutes: float

    def share(self, step: int, seconds: float) -> float:
        """How much of the budget is used after ``step`` steps and ``seconds``, 0 to 1."""
        return min(1.0, max(step / self.steps, seconds / (60.0 * self.minutes)))


def rate(share: float, peak: float) -> float:
    """Learning rate at ``share`` of the budget: a linear warm-up, then half a cosine to a hundredth of the peak."""
    if share < _WARM_UP:
        return peak * (0.02 + 0.98 * share / _WARM_UP)
    falling = (share - _WARM_UP) / (1 - _WARM_UP)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * falling)))
