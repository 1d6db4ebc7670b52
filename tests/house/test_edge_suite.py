"""The tests of `make test-edge` need only packages of the extra `test-edge`; other tests skip there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DESKTOP = "tensorflow tf_keras keras tensorflow_model_optimization scipy h5py matplotlib skimage PIL av"
CODE = f"""
import sys
import pytest

sys.modules.update(dict.fromkeys({DESKTOP.split()}))  # None: not installed
sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def collect(*folders: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, *folders]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_is_collected_without_what_the_desktop_has() -> None:
    done = collect("tests/edge", "tests/quietcam")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


@pytest.mark.parametrize("stage", ["compare", "convert", "train"])
def test_a_stage_that_needs_tensorflow_skips_all_its_files_and_says_why(stage: str) -> None:
    done = collect(f"tests/{stage}")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout[-4000:] + done.stderr
    files = list((ROOT / "tests" / stage).rglob("test_*.py"))
    assert f"SKIPPED [{len(files)}]" in done.stdout
    assert "needs the extra 'train'" in done.stdout
