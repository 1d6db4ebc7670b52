"""The checkpoint of an unfinished run: one file with everything that the next step depends on."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietcam.errors import DataError
from quietcam.files.atomic import write_bytes
from quietcam.files.strict_json import MOST_OF_A_LIST, dump_json, parse_object

__all__ = ["State", "read_state", "write_state"]

Arrays = list[NDArray[Any]]

_GROUPS = ("weights", "optimizer", "average")


@dataclass
class State:
    """The state of a run.

    Attributes:
        step: number of steps taken; also the number of the next batch.
        seconds: used seconds of the budget.
        weights: weights of the model, in the order of ``model.get_weights()``.
        optimizer: the optimizer's variables.
        average: moving average of the trainable weights; empty if none is kept.
        slowed: how often the learning rate was halved after a divergence.
        rows: rows of ``history.csv``.
        recipe: the settings that the run began with, which must not change when it is resumed.
    """

    step: int
    seconds: float
    weights: Arrays
    optimizer: Arrays
    average: Arrays
    slowed: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    recipe: str = ""


def write_state(path: Path, state: State) -> None:
    """Write ``state`` whole or not at all. The file is plain numpy, because HDF5 ends the process on a full disk."""
    arrays = {f"{group}_{i:03d}": array for group in _GROUPS for i, array in enumerate(getattr(state, group))}
    rest = {key: value for key, value in vars(state).items() if key not in _GROUPS}
    content = io.BytesIO()
    np.savez(content, told=np.array(dump_json(rest)), **arrays)
    write_bytes(path, content.getvalue())


def read_state(path: Path) -> State:
    """Read the state that ``write_state`` wrote.

    Raises:
        DataError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values: dict[str, Any] = parse_object(str(stored["told"]), MOST_OF_A_LIST)
            for group in _GROUPS:
                values[group] = [stored[name] for name in stored.files if name.startswith(group)]
        return _checked(State(**values))
    except Exception as error:  # zipfile, numpy and json raise errors of any class
        raise DataError(
            f"A checkpoint must be one that training wrote. Received: {path} ({type(error).__name__}: {error}). "
            "Remedy: start again with `overwrite`."
        ) from error


def _checked(state: State) -> State:
    """``state``, if its values have the right types. The file stores numbers that are not finite as null; they are read
    as NaN."""
    parse_object(state.recipe or "{}")
    counts = (state.step, state.slowed)
    if not all(type(each) is int and each >= 0 for each in counts) or type(state.seconds) not in (int, float):
        raise TypeError(f"{state.step} steps in {state.seconds} s, slowed {state.slowed} times")
    state.rows = [{key: math.nan if each is None else each for key, each in dict(row).items()} for row in state.rows]
    return state
