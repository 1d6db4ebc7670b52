"""The text of a model card."""

from __future__ import annotations

import pytest

card_text = pytest.importorskip("benchmarks.network.card_text", reason="benchmarks are in the repository alone")


def test_a_card_has_a_line_for_each_run_behind_the_model() -> None:
    runs = [
        {"phase": "train", "seconds": 9000.0, "steps": 12345, "psnr": 36.5, "teacher": {"name": "base", "runs": []}},
        {"phase": "qat", "seconds": 1800.0, "steps": 20, "psnr": 36.456},
    ]
    lines = card_text.runs_table(runs)
    assert lines[3:5] == ["| train | 2.50 | 12,345 | 36.50 | `base` |", "| qat | 0.50 | 20 | 36.46 |  |"]
    assert lines[-1].startswith("3.00 hours in all")
    assert card_text.runs_table([]) == []
