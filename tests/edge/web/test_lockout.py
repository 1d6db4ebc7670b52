"""A short run of benchmarks/device/lockout.py: strangers in another process, and the owner who is still served."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "device" / "lockout.py"


@pytest.fixture(scope="module")
def lockout() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip("benchmarks/ is not part of the source distribution")
    spec = importlib.util.spec_from_file_location("lockout", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lockout"] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("attack", ["slow bodies 64, 100/s", "no token asked: streams 64, 15/s"])
def test_the_owner_is_served(lockout: ModuleType, attack: str) -> None:
    results = lockout.measure(attack, 1.0)
    assert results
    for way, tries in results.items():
        assert tries.served == tries.asked > 0, way


def test_a_refusal_is_seen(lockout: ModuleType) -> None:
    """The address that sent ten guesses is refused."""
    tries = lockout.measure("guesses 50/s, 1 address", 1.0)["same"]
    assert not tries.holds
    assert tries.served < tries.asked
