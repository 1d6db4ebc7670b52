"""Figures: how well a run does with its model, added up over seconds, restarts and reboots; and which are worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from edge.network.treatment import Rung
from quietcam.files.json_fields import number

__all__ = ["ENOUGH", "Figures", "figures_between", "worse"]

ENOUGH = 30.0
"""Seconds with frames from which on figures are compared."""

_SHARE = 0.1  # of frames, or of seconds, that may be worse than before: heat and the scene change meanwhile


@dataclass(frozen=True)
class Figures:
    """Sums over seconds in which frames came.

    Attributes:
        seconds: how many.
        frames: that came through.
        dropped: that were dropped for newer ones.
        lessened: seconds in which the degrade ladder took work away, or another device had to do the work.
    """

    seconds: float = 0.0
    frames: float = 0.0
    dropped: float = 0.0
    lessened: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def dropped_share(self) -> float:
        return self.dropped / max(self.frames + self.dropped, 1.0)

    @property
    def lessened_share(self) -> float:
        return self.lessened / max(self.seconds, 1.0)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Figures:
        """Raises ValueError if one is missing, negative or no number."""
        found = [number(values, each.name) for each in fields(cls)]
        if min(found) < 0:
            raise ValueError("figures must not be negative")
        return cls(*found)


def figures_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Figures:
    """What happened between two reports of one run, which are as :meth:`edge.run.health.Health.report` gives them.

    Nothing, if no frame came through: the camera may be lost, which is not the model's fault.
    """
    frames = after["frames"] - before["frames"]
    seconds = after["seconds"] - before["seconds"]
    if frames <= 0 or seconds <= 0:
        return Figures()
    ladder, device = after.get("ladder") or {}, after.get("device") or {}
    lessened = ladder.get("step", Rung.FULL.value) != Rung.FULL.value or bool(device.get("reason"))
    return Figures(
        seconds,
        frames,
        max(0, after["dropped"] - before["dropped"]),
        seconds if lessened else 0.0,
    )


def worse(now: Figures, before: Figures | None) -> str | None:
    """Why ``now`` is too bad to keep; None if it is not.

    A model that takes longer is not worse for that: it is if frames are dropped, or the ladder takes work away.

    Args:
        before: of the model before; None, or less than ``ENOUGH``: nothing is compared.
    """
    if before is None or before.seconds < ENOUGH:
        return None
    for word, share, was in (
        ("frames are dropped", now.dropped_share, before.dropped_share),
        ("the time frames get less than full treatment", now.lessened_share, before.lessened_share),
    ):
        if share > was + _SHARE:
            return f"{share:.0%} of {word}, {was:.0%} before"
    return None
