"""Counts and percentiles."""

from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np
import pytest

from edge.run.health import STAGES, Health, Latency, peak_memory_mib


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


def test_the_present_rate_is_that_of_the_newest_frames_and_nothing_after_a_while() -> None:
    now = [0.0]
    health = Health(lambda: now[0])
    health.began()
    for index in range(200):
        now[0] += 0.1 if index < 100 else 0.05
        health.written(now[0])
    assert health.seconds == pytest.approx(15.0)
    assert health.fps == pytest.approx(200 / 15)
    assert health.fps_now == pytest.approx(20.0)
    now[0] += 6.0
    assert health.fps_now == 0.0
    health.ended()
    now[0] += 100.0
    assert health.seconds == pytest.approx(21.0)
    assert health.fps_now == pytest.approx(20.0), "of a run that has ended it is that of its end"


def test_the_present_rate_of_one_frame_is_not_known() -> None:
    health = Health(lambda: 1.0)
    assert health.fps_now == 0.0
    health.began()
    health.written(1.0)
    assert health.fps_now == 0.0


def test_parts_are_asked_when_a_report_is_made() -> None:
    health = Health()
    report = health.report()
    assert report["camera"]["state"] == "live"
    assert report["ladder"] == {"step": "full", "reason": None}
    assert report["sinks"] == []
    state = ["live"]
    health.watch("camera", lambda: {"state": state[0]})
    state[0] = "lost"
    assert health.report()["camera"] == {"state": "lost"}


def test_any_thread_may_ask_while_others_count() -> None:
    health = Health()
    health.began()
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            health.stages["denoise"].add(0.001, time.monotonic())
            health.written(time.monotonic())

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(50):
            latency = health.report()["latency_ms"]["denoise"]
            assert latency["count"] == 0 or 0 <= latency["p50"] <= 1.0
    finally:
        stop.set()
        thread.join()
