"""The six mistakes, really converted: the order of magnitude of what each costs (docs/measurements/desktop.md)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("tensorflow", reason="needs the extra 'train'")

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "network" / "representative_mistakes.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    if not SCRIPT.is_file():
        pytest.skip("benchmarks/ is not part of the source distribution")
    spec = importlib.util.spec_from_file_location("representative_mistakes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_each_mistake_costs_and_that_the_linter_names_it(benchmark: ModuleType) -> None:
    """Drops in dB against the float network."""
    pairs = benchmark.read_pairs(None, 2, benchmark.JUDGE_SEED, benchmark.JUDGE_BAND)
    rows = list(benchmark.measure(None, 2, pairs, only=["none", *benchmark.BOUNDS]))
    drop = {(row[0], row[1]): row[3] for row in rows}
    found = {row[0]: row[7].split() for row in rows}
    assert drop["none", "tensorflow"] < 0.4
    assert drop["none", "quietcam"] < 0.2
    assert found["none"] == ["few"]
    for mistake, (least, most, finding) in benchmark.BOUNDS.items():
        cost = max(drop[mistake, way] - drop["none", way] for way in ("tensorflow", "quietcam"))
        assert least <= cost <= most, (mistake, cost)
        assert finding in found[mistake], mistake
