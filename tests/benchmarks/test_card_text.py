"""The text of a model card."""

from __future__ import annotations

import pytest

from benchmarks.network.card_figures import SETS, Found

card_text = pytest.importorskip("benchmarks.network.card_text", reason="benchmarks are in the repository alone")


@pytest.mark.parametrize(("repeated", "words"), [(0, "black is beyond."), (4, "the network repeats 4 pixels")])
def test_a_card_says_what_lies_beyond_the_edge_of_a_frame(repeated: int, words: str) -> None:
    row = Found("a", 20.0, {"int8": 30.0}, 40.0, 50.0, 10.0, 8.0, 8.0, [0.0] * 3, [0.0] * 3)
    figures = {f"{short}_{each}": 0.0 for short in ("native", "small") for each in ("drop", "clean_bare")}
    lines = card_text.limits({key: [row] for key in SETS}, figures, 1.1, repeated=repeated)
    assert any("keep 1.1 times the error of the rest: " + words in line for line in lines)


def test_a_card_has_a_line_for_each_run_behind_the_model() -> None:
    runs = [
        {"phase": "train", "seconds": 9000.0, "steps": 12345, "psnr": 36.5, "teacher": {"name": "base", "runs": []}},
        {"phase": "qat", "seconds": 1800.0, "steps": 20, "psnr": 36.456},
    ]
    lines = card_text.runs_table(runs)
    assert lines[3:5] == ["| train | 2.50 | 12,345 | 36.50 | `base` |", "| qat | 0.50 | 20 | 36.46 |  |"]
    assert lines[-1].startswith("3.00 hours in all")
    assert card_text.runs_table([]) == []
