"""The rule of the quality gate, with figures worked out by hand."""

from __future__ import annotations

import pytest

from quietcam.quality.gate import GroupDrop, QualityGate, mean_drops, worst_drop


def test_a_bucket_of_fewer_than_3_pictures_is_left_out() -> None:
    buckets = {"401-1600": GroupDrop(2, 9.0), "1601-6400": GroupDrop(3, 0.2)}
    checks = QualityGate(0.1, 0.25).checks(0.05, 5, buckets)
    assert [(each.where, each.limit, each.holds) for each in checks] == [
        ("all", 0.1, True),
        ("ISO 1601-6400", 0.25, True),
    ]
    assert worst_drop(buckets) == ("1601-6400", 0.2)


@pytest.mark.parametrize(("drop", "bucket", "holds"), [(0.1, 0.25, True), (0.11, 0.25, False), (0.1, 0.26, False)])
def test_the_mean_and_every_bucket_must_keep_their_limits(drop: float, bucket: float, holds: bool) -> None:
    buckets = {"up to 100": GroupDrop(3, bucket), "101-400": GroupDrop(7, 0.0)}
    assert QualityGate(0.1, 0.25).holds(drop, buckets) is holds


def test_without_a_limit_of_their_own_buckets_may_lose_as_much_as_all_pictures() -> None:
    assert QualityGate(0.1).bucket_limit == 0.1


def test_losses_are_averaged_by_bucket_and_pictures_without_iso_left_out() -> None:
    found = mean_drops([("101-400", 0.1), (None, 5.0), ("101-400", 0.3), ("above 6400", 1.0)])
    assert found == {"101-400": GroupDrop(2, pytest.approx(0.2)), "above 6400": GroupDrop(1, 1.0)}
    assert worst_drop(found) is None
