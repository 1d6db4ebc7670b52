"""The gate by hand: over all pictures and in each ISO bucket that is large enough."""

from __future__ import annotations

import pytest

from compare.gate import check_drops
from compare.scores import GroupScore, ModelScore
from quietcam.data.sets.groups import iso_bucket
from quietcam.quality.gate import LEAST_PICTURES, QualityGate


def row(name, drop, buckets, reference="float"):
    groups = {"iso": {each: GroupScore(count, 30.0, 0.9, 1.0, value) for each, (count, value) in buckets.items()}}
    reference = None if drop is None else reference
    return ModelScore(
        name, name, "model", 30.0, 0.9, 1.0, [0.0] * 3, None, groups, {}, {}, drop=drop, reference=reference
    )


@pytest.mark.parametrize(
    ("iso", "bucket"),
    [
        *((50, "up to 100"), (100, "up to 100"), (101, "101-400"), (400, "101-400"), (500, "401-1600")),
        *((1600, "401-1600"), (3200, "1601-6400"), (6400, "1601-6400"), (10000, "above 6400")),
    ],
)
def test_buckets_span_two_stops(iso, bucket):
    assert iso_bucket(iso) == bucket


def test_all_pictures_and_large_buckets_are_held_against_the_limit():
    rows = [
        row("float", None, {}),
        row("int8", 0.08, {"up to 100": (3, 0.05), "101-400": (4, 0.2), "401-1600": (2, 9.0)}),
    ]
    checks = check_drops(rows, 9, QualityGate(0.1))
    assert [(each.where, each.pictures, each.drop, each.limit, each.holds) for each in checks] == [
        ("all", 9, 0.08, 0.1, True),
        ("ISO up to 100", 3, 0.05, 0.1, True),
        ("ISO 101-400", 4, 0.2, 0.1, False),
    ]
    assert LEAST_PICTURES == 3
    assert all(each.holds for each in check_drops(rows, 9, QualityGate(0.1, 0.25)))
    assert [each.where for each in check_drops(rows, 9, QualityGate(0.05, 0.25)) if not each.holds] == ["all"]


def test_exactly_the_limit_holds():
    assert check_drops([row("int8", 0.1, {})], 5, QualityGate(0.1))[0].holds


def test_every_quantized_model_is_checked_and_no_other():
    rows = [row("a", 0.3, {}), row("peer", None, {"up to 100": (5, None)}), row("b", 0.0, {})]
    assert [(each.model, each.holds) for each in check_drops(rows, 5, QualityGate(0.1))] == [("a", False), ("b", True)]
