"""Counts and percentiles."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from edge.health import STAGES, Health, Latency, peak_memory_mib


def test_percentiles_are_numpys_in_ms() -> None:
    latency = Latency()
    seconds = np.random.default_rng(0).gamma(2.0, 0.01, 1000)
    for value in seconds:
        latency.add(value)
    report = latency.report()
    assert report["count"] == 1000
    for key, percentile in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        assert report[key] == pytest.approx(np.percentile(seconds, percentile) * 1000, abs=0.001)
    assert report["mean"] == pytest.approx(seconds.mean() * 1000, abs=0.001)


def test_the_newest_are_kept_and_all_are_counted() -> None:
    latency = Latency(kept=10)
    for value in range(1000):
        latency.add(value / 1000)
    assert latency.report() == {"count": 1000, "mean": 994.5, "p50": 994.5, "p95": 998.55, "p99": 998.91, "max": 999.0}


def test_memory_does_not_grow() -> None:
    latency = Latency()
    before = sys.getsizeof(latency._ring)
    for _ in range(10_000):
        latency.add(1.0)
    assert sys.getsizeof(latency._ring) == before
    assert vars(latency).keys() == vars(Latency()).keys()


def test_a_report_without_frames_is_json_too() -> None:
    report = json.loads(json.dumps(Health().report()))
    assert report["fps"] == 0
    assert set(report["latency_ms"]) == set(STAGES)
    assert report["latency_ms"]["denoise"] == {"count": 0}


def test_peak_memory_is_that_of_a_process_with_numpy() -> None:
    assert 20 < peak_memory_mib() < 64 * 1024
