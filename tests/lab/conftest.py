"""The tests of `lab/`, which comes with the repository alone, not with its source archive."""

from __future__ import annotations

from pathlib import Path

if not (Path(__file__).parents[2] / "lab").is_dir():
    collect_ignore_glob = ["test_*.py"]
