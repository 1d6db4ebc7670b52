"""The metrics as Prometheus wants them: histograms that add up, base units, and no fault that promtool finds."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.network.treatment import Rung
from edge.run.health import DURATION_BOUNDS, STAGES, Health
from edge.web.metrics import Metrics

PROMTOOL = shutil.which("promtool")


def samples(status: dict[str, Any]) -> dict[tuple[Any, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(Metrics(lambda: status).text().decode())
        for sample in family.samples
    }


def full_status() -> dict[str, Any]:
    """Of a run in which every metric has a value."""
    health = Health()
    health.began()
    for stage in STAGES:
        health.stages[stage].add(0.004)
    health.written(1.0)
    sinks = [{"name": "web", "frames": 1, "viewers": 2, "encoded": 3, "error": None}]
    sinks += [{"name": "spool:/x", "frames": 1, "stored": 1, "missed": 0, "bytes": 7, "stuck": 0, "waiting": "full"}]
    return health.report() | {
        "live": True,
        "degraded": True,
        "fps": 30.0,
        "strength": 1.0,
        "viewers": 1,
        "encoded": 3,
        "device_id": "0123456789ab",
        "version": "0.1.0",
        "model": {"name": "small", "recipe": "int8", "sha256": "ab" * 32},
        "work": {"model": "small", "size": "whole", "share": 0.5, "history": 3},
        "history": {"on": True, "forgotten": {"another scene": 1}},
        "noise_sigma": 7.5,
        "temperature_c": 51.0,
        "sinks": sinks,
    }


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool (apt-get install prometheus)")
@pytest.mark.parametrize("status", [full_status(), Health().report(), {}], ids=["full", "before the start", "empty"])
def test_promtool_finds_no_fault(status: dict[str, Any]) -> None:
    assert PROMTOOL is not None
    text = Metrics(lambda: status).text()
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_every_metric_has_a_help_and_a_type_and_names_of_counters_end_in_total() -> None:
    lines = Metrics(full_status).text().decode().splitlines()
    kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE ")}
    helps = {line.split()[2] for line in lines if line.startswith("# HELP ") and len(line.split()) > 3}
    named = {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}
    assert helps == kinds.keys()
    for name in named:
        family = next(
            name.removesuffix(end) for end in ("_bucket", "_sum", "_count", "") if name.removesuffix(end) in kinds
        )
        assert (kinds[family] == "counter") == name.endswith("_total"), name
    assert not [name for name in named if name.endswith(("_mebibytes", "_ms", "_milliseconds", "_mib"))]
    assert {kind for name, kind in kinds.items() if "quantile" in name} == set()
    assert "quantile=" not in "".join(lines)


def test_durations_are_a_histogram_as_numpy_counts_them() -> None:
    health = Health()
    seconds = np.random.default_rng(0).gamma(1.0, 0.05, 500)
    seconds[:4] = [0.001, 0.0, 5.0, 60.0]  # on a bound, none, on the last bound, above all
    for value in seconds:
        health.stages["denoise"].add(value)
    found = samples(health.report())
    name = "quietcam_stage_duration_seconds"
    for bound in DURATION_BOUNDS:
        bucket = f"{name}_bucket", ("le", str(bound)), ("stage", "denoise")
        assert found[bucket] == np.count_nonzero(seconds <= bound)
    assert found[f"{name}_bucket", ("le", "+Inf"), ("stage", "denoise")] == 500
    assert found[f"{name}_count", ("stage", "denoise")] == 500
    assert found[f"{name}_sum", ("stage", "denoise")] == pytest.approx(seconds.sum(), abs=1e-5)
    assert found[f"{name}_count", ("stage", "sink")] == 0


def test_the_histograms_of_two_devices_add_up() -> None:
    """Every bucket is there from the start, with the same bounds."""
    first, second, both = Health(), Health(), Health()
    for number, value in enumerate((0.003, 0.2, 1.5, 9.0, 0.01)):
        for health in (both, second if number % 2 else first):
            health.stages["sink"].add(value)
    told = [
        {key: value for key, value in samples(health.report()).items() if "duration_seconds" in key[0]}
        for health in (first, second, both)
    ]
    assert told[0].keys() == told[1].keys() == told[2].keys()
    for key, value in told[2].items():
        assert told[0][key] + told[1][key] == pytest.approx(value)


def test_values_are_in_base_units() -> None:
    found = samples({"peak_memory_mib": 80.0, "sinks": [{"name": "s", "bytes": 7}]})
    assert found[("quietcam_memory_peak_bytes",)] == 80 * 2**20
    assert found[("quietcam_sink_bytes", ("sink", "s"))] == 7


@pytest.mark.parametrize(("number", "rung"), list(enumerate(Rung)))
def test_the_step_of_the_ladder_is_a_number_too(number: int, rung: Rung) -> None:
    found = samples({"ladder": {"step": rung.value}})
    assert found[("quietcam_ladder_step",)] == number
    assert sum(value for key, value in found.items() if key[0] == "quietcam_ladder") == 1


def test_the_machine_the_model_and_the_start_are_known() -> None:
    found = samples(full_status())
    assert found[("quietcam_device_info", ("device_id", "0123456789ab"), ("version", "0.1.0"))] == 1
    model = ("name", "small"), ("recipe", "int8"), ("sha256", "ab" * 32)
    assert found[("quietcam_model_info", *model)] == 1
    start = found[("process_start_time_seconds",)]
    assert 0 < start < time.time()


def test_a_sink_that_fails_or_waits_is_down() -> None:
    sinks = [{"name": "a", "error": None}, {"name": "b", "error": "x"}, {"name": "c", "error": None, "waiting": "y"}]
    found = samples({"sinks": sinks})
    assert [found[("quietcam_sink_up", ("sink", name))] for name in "abc"] == [1, 0, 0]
