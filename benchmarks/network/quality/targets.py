"""What a model that ships must reach, by its size, and the verdict on a figure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BUCKET_DROP",
    "DROP",
    "GAUSSIAN",
    "KEPT",
    "KEPT_GATED",
    "OVER_SMALL",
    "PHASE",
    "TARGETS",
    "ZEROS",
    "Line",
    "Targets",
    "faster_than_peer",
]


@dataclass(frozen=True)
class Line:
    """One figure of one model.

    Attributes:
        figure: what is measured, with its unit.
        on: what it is measured on: a set, a bucket, a side; empty if it is one figure of the whole model.
        value: the figure. must, goal: its limits; None where it has none.
        at_most: whether the limits are the most that it may be; otherwise they are the least.
        digits: after the point, that it is rounded to before it is judged and shown.
    """

    figure: str
    on: str
    value: float
    must: float | None = None
    goal: float | None = None
    at_most: bool = False
    digits: int = 2

    @property
    def shown(self) -> str:
        """The rounded figure."""
        return f"{round(self.value, self.digits) + 0.0:.{self.digits}f}"  # + 0.0: no minus before 0

    def short_of(self, limit: float) -> float:
        """How far the rounded value is on the wrong side of a limit; 0 if it keeps the limit."""
        value = float(self.shown)
        return round(max(0.0, value - limit if self.at_most else limit - value), self.digits)

    @property
    def holds(self) -> bool:
        """Whether it reaches what it must. A figure without a limit does."""
        return self.must is None or self.short_of(self.must) == 0.0

    @property
    def verdict(self) -> str:
        """``missed by 0.3``, ``met, goal missed by 0.1``, ``met``; empty for a figure without a limit."""
        if self.must is None:
            return ""
        if not self.holds:
            return f"missed by {self.short_of(self.must):.{self.digits}f}"
        missing = 0.0 if self.goal is None else self.short_of(self.goal)
        return f"met, goal missed by {missing:.{self.digits}f}" if missing else "met"


@dataclass(frozen=True)
class Targets:
    """What a size must reach: pairs are what it must, and the goal.

    Attributes:
        gmacs: at most, at 256x256.
        phones: dB over the peer on each set of phones. others: on each set of other cameras.
        salt: dB gained under 5 % salt and pepper, at least.
        faster: times as fast as the peer on two threads, without and with an int8 dot product.
    """

    gmacs: float
    phones: tuple[float, float]
    others: tuple[float, float]
    salt: float
    faster: tuple[float, float]


TARGETS = {
    "nano": Targets(0.13, (0.0, 0.7), (-0.3, 0.3), 6.0, (25.0, 40.0)),
    "small": Targets(0.42, (2.0, 2.6), (0.2, 0.8), 8.0, (12.0, 22.0)),
    "base": Targets(1.35, (2.6, 3.4), (0.4, 1.0), 8.0, (4.5, 9.0)),
}
"""By size, in ascending order."""

OVER_SMALL = 0.5  # dB: `base` over `small`, on each set
DROP, BUCKET_DROP = (0.10, 0.05), 0.15  # dB: int8 under its float twin, on a set and in a bucket
PHASE = 0.1  # steps of 255
KEPT_GATED, KEPT = 43.0, 40.0  # dB of a clean picture, with the gate and without
GAUSSIAN = 10.0  # dB gained under white Gaussian noise of sigma 25
ZEROS = 0.5  # share of the weights


def faster_than_peer(targets: Targets, instructions: str, threads: int) -> float | None:
    """How many times as fast as the peer a size must be; None where nothing is asked: on other than two threads, and on
    a processor whose ``instructions`` (:func:`edge.network.runtime.instructions.instructions_here`) are not of x86.
    """
    if threads != 2 or not instructions.startswith("AVX"):
        return None
    return targets.faster["with VNNI" in instructions]
