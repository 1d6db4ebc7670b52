"""The rule of the quality gate: how much int8 may lose to its float twin, over all pictures and at each ISO.

`quietcam compare` checks models by it, and `quietcam convert` checks a model that it has just made.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quietcam.data.sets.groups import iso_bucket
from quietcam.data.sets.pairs import Pair

__all__ = ["LEAST_PICTURES", "GroupCheck", "GroupDrop", "QualityGate", "iso_of", "mean_drops", "worst_drop"]

LEAST_PICTURES = 3
"""The gate ignores groups with fewer pictures: their mean says more about the pictures than about the model."""

ALL = "all"


@dataclass(frozen=True)
class GroupDrop:
    """What a model loses on one group, dB: the mean over ``pictures`` pictures."""

    pictures: int
    drop: float

    @property
    def counts(self) -> bool:
        """True if the group has enough pictures for the gate."""
        return self.pictures >= LEAST_PICTURES


@dataclass(frozen=True)
class GroupCheck:
    """One limit, checked on one group. ``where`` is ``all`` or ``ISO`` and its bucket; ``drop`` and ``limit`` in dB."""

    where: str
    pictures: int
    drop: float
    limit: float

    @property
    def holds(self) -> bool:
        return self.drop <= self.limit


@dataclass(frozen=True)
class QualityGate:
    """Limits in dB of PSNR.

    Attributes:
        limit: for the mean over all pictures.
        iso_limit: for the mean of each ISO bucket. Defaults to ``limit``.
    """

    limit: float
    iso_limit: float | None = None

    @property
    def bucket_limit(self) -> float:
        """How much each ISO bucket may lose, dB."""
        return self.limit if self.iso_limit is None else self.iso_limit

    def checks(self, drop: float, pictures: int, buckets: Mapping[str, GroupDrop]) -> list[GroupCheck]:
        """Check every limit: first over all pictures, then in each ISO bucket that counts.

        Args:
            drop: what the model loses over all ``pictures``, dB.
            buckets: what it loses in each ISO bucket, by the bucket's name.
        """
        return [GroupCheck(ALL, pictures, drop, self.limit)] + [
            GroupCheck(f"ISO {name}", group.pictures, group.drop, self.bucket_limit)
            for name, group in buckets.items()
            if group.counts
        ]

    def holds(self, drop: float, buckets: Mapping[str, GroupDrop]) -> bool:
        """True if every limit is kept."""
        return all(check.holds for check in self.checks(drop, 0, buckets))


def iso_of(pair: Pair) -> str | None:
    """The ISO bucket of a pair; None if its name contains no ISO."""
    return None if pair.instance is None else iso_bucket(pair.instance.iso)


def mean_drops(found: Iterable[tuple[str | None, float]]) -> dict[str, GroupDrop]:
    """The mean loss of each ISO bucket, from each picture's bucket and loss; pictures without ISO are left out."""
    buckets: dict[str, list[float]] = {}
    for name, drop in found:
        if name is not None:
            buckets.setdefault(name, []).append(drop)
    return {name: GroupDrop(len(drops), statistics.fmean(drops)) for name, drops in buckets.items()}


def worst_drop(buckets: Mapping[str, GroupDrop]) -> tuple[str, float] | None:
    """The ISO bucket that loses most among those that count, and how much it loses, dB; None if no bucket counts."""
    counting = {name: group.drop for name, group in buckets.items() if group.counts}
    return max(counting.items(), key=lambda each: each[1]) if counting else None
