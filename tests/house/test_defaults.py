"""A command and the function of the same name do the same where nobody says otherwise."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import quietcam
from quietcam.app.cli import app

REQUIRED_BY_THE_COMMAND = {("calibrate", "out")}  # a notebook may keep the set in memory


def parameters_of(command: str) -> dict[str, Any]:
    (found,) = (each for each in app.registered_commands if each.name == command)
    assert found.callback is not None
    return defaults(found.callback)


def defaults(function: Any) -> dict[str, Any]:
    return {each.name: each.default for each in inspect.signature(function).parameters.values()}


def plain(value: Any) -> Any:
    """Options are paths and words of a list, parameters are texts; none of several is None or empty."""
    if isinstance(value, Path):
        return str(value)
    return None if value == () else value


@pytest.mark.parametrize("name", ["calibrate", "compare", "convert", "prune", "run", "train"])
def test_a_command_and_its_function_have_the_same_defaults(name: str) -> None:
    if name in ("convert", "prune", "train"):
        pytest.importorskip("tensorflow", reason="needs the extra 'train'")
    function = quietcam.RunOptions if name == "run" else getattr(quietcam, name)
    here, there = defaults(function), parameters_of(name)
    shared = [each for each in here if each in there and (name, each) not in REQUIRED_BY_THE_COMMAND]
    assert shared
    assert {each: plain(here[each]) for each in shared} == {each: plain(there[each]) for each in shared}
