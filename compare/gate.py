"""The quality gate of a comparison: checks each quantized model by the limits of ``quietcam.quality.gate``."""

from __future__ import annotations

from collections.abc import Sequence

from compare.scores import GateCheck, ModelScore
from quietcam.quality.gate import GroupDrop, QualityGate

__all__ = ["check_drops"]


def check_drops(rows: Sequence[ModelScore], pictures: int, gate: QualityGate) -> list[GateCheck]:
    """Check each row that has a float twin: over all ``pictures``, and in each ISO bucket that counts."""
    checks = []
    for row in rows:
        if row.drop is None or row.reference is None:
            continue
        buckets = {
            bucket: GroupDrop(group.pictures, group.drop)
            for bucket, group in row.groups.get("iso", {}).items()
            if group.drop is not None
        }
        checks += [
            GateCheck(row.name, row.reference, each.where, each.pictures, each.drop, each.limit, each.holds)
            for each in gate.checks(row.drop, pictures, buckets)
        ]
    return checks
