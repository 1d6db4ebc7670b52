"""The small models in the repository are those that `make_models.py` writes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

MAKE_MODELS = Path(__file__).with_name("make_models.py")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="making models needs the extra 'train'")
def test_made_again_they_are_the_same(models: Path, tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, MAKE_MODELS, tmp_path], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    again, there = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (tmp_path, models))
    differ = sorted(name for name in again.keys() | there.keys() if again.get(name) != there.get(name))
    assert differ == [], f"python tests/edge/make_models.py {models}"
