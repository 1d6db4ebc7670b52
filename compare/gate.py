"""The gate: how much a quantized model may lose to its float twin, over all pictures and at each ISO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compare.scores import ModelScore

__all__ = ["LEAST_PICTURES", "Check", "check_drops"]

LEAST_PICTURES = 3
"""A group of fewer pictures says more of the pictures than of the model, and is not gated."""


@dataclass(frozen=True)
class Check:
    """One quantized model on one group. ``where`` is ``all`` or an ISO bucket; ``drop`` and ``limit`` are in dB."""

    model: str
    reference: str
    where: str
    pictures: int
    drop: float
    limit: float
    holds: bool


def check_drops(rows: Sequence[ModelScore], pictures: int, limit: float, iso_limit: float | None = None) -> list[Check]:
    """Hold every quantized model against ``limit`` over all pictures, and ``iso_limit`` in each ISO bucket.

    Args:
        iso_limit: defaults to ``limit``.
    """
    checks = []
    for row in rows:
        if row.drop is None or row.reference is None:
            continue
        checks.append(Check(row.name, row.reference, "all", pictures, row.drop, limit, row.drop <= limit))
        bound = limit if iso_limit is None else iso_limit
        checks += [
            Check(row.name, row.reference, f"ISO {bucket}", group.pictures, group.drop, bound, group.drop <= bound)
            for bucket, group in row.groups.get("iso", {}).items()
            if group.drop is not None and group.pictures >= LEAST_PICTURES
        ]
    return checks
