"""What `make test-edge` runs asks for nothing that the extra `test-edge` does not bring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DESKTOP = "tensorflow tf_keras keras tensorflow_model_optimization scipy h5py matplotlib skimage PIL"
CODE = f"""
import sys
import pytest

sys.modules.update(dict.fromkeys({DESKTOP.split()}))  # None: not installed
sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", "tests/edge", "tests/quietcam"]))
"""


def test_it_is_collected_without_what_the_desktop_has() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
