"""The frontier: of several ways to denoise, those that no other beats in time and quality."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["beaten_by"]


def beaten_by(points: Mapping[str, tuple[float, float]]) -> dict[str, str | None]:
    """For each name, the name of what beats it; None if it is on the frontier.

    One beats another if it is at least as fast and at least as good, and faster or better. Of several that beat it, the
    best one is named, and of equally good ones the fastest.

    Args:
        points: by name, milliseconds (less is better) and dB (more is better). All dB are of the same pictures.

    >>> beaten_by({"nano": (1.0, 8.0), "slow": (3.0, 9.0), "small": (2.0, 10.0)})
    {'nano': None, 'slow': 'small', 'small': None}
    """
    found: dict[str, str | None] = {}
    for name, (ms, db) in points.items():
        better = [
            (other_db, -other_ms, other)
            for other, (other_ms, other_db) in points.items()
            if other_ms <= ms and other_db >= db and (other_ms, other_db) != (ms, db)
        ]
        found[name] = max(better)[2] if better else None
    return found
