"""A checkpoint comes back as it was written; a damaged one is refused, and the message names it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quietcam.errors import DataError
from train.run_directory.state import State, read_state, write_state

_ROW = {"phase": "train", "step": 3, "seconds": 1.5, "loss": 0.25, "validation_psnr": math.inf}


def _state() -> State:
    return State(3, 1.5, [np.ones((2, 2))], [np.zeros(1)], [], 1, [_ROW], json.dumps({"training": {"steps": 4}}))


def test_it_comes_back_and_what_is_not_finite_as_nan(tmp_path: Path) -> None:
    write_state(tmp_path / "a.npz", _state())
    back = read_state(tmp_path / "a.npz")
    assert (back.step, back.seconds, back.slowed, back.recipe) == (3, 1.5, 1, _state().recipe)
    assert back.rows[0] | {"validation_psnr": 0} == _ROW | {"validation_psnr": 0}
    assert math.isnan(back.rows[0]["validation_psnr"])
    np.testing.assert_array_equal(back.weights[0], 1)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "[]",
        "[" * 10_000,
        {"step": "3"},
        {"step": -1},
        {"step": True},
        {"step": 1e999},
        {"seconds": "long"},
        {"slowed": None},
        {"rows": 3},
        {"rows": [3]},
        {"recipe": "{"},
        {"recipe": 3},
        {"more": 1},
    ],
)
def test_a_spoiled_one_is_refused(tmp_path: Path, told: str | dict[str, Any]) -> None:
    whole = {"step": 3, "seconds": 1.5, "slowed": 0, "rows": [], "recipe": ""}
    text = told if isinstance(told, str) else json.dumps(whole | told)
    np.savez(tmp_path / "a.npz", told=np.array(text), weights_000=np.ones(1))
    with pytest.raises(DataError, match=r"must be one that training wrote.*Remedy"):
        read_state(tmp_path / "a.npz")
