"""Messages name parameters; the command line shows its own flags in their place."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
import typer.main

from quietcam import errors
from quietcam.app import cli
from quietcam.terminal.flags import flags_named, flags_of, with_flags
from quietcam.terminal.say import say

application = typer.Typer()
data = typer.Typer()
application.add_typer(data, name="data")


@application.callback()
def root(debug: bool = False) -> None:
    """The root."""


@data.command()
def pack(
    source: str,
    out: Annotated[str, typer.Option("--out", "-o")],
    max_drop: float = 1.0,
    live: bool = True,
    amount: Annotated[int, typer.Option("--count")] = 1,
) -> None:
    """One command."""


COMMAND = typer.main.get_command(application)


@pytest.fixture
def _running():
    with flags_named(lambda: flags_of(COMMAND, ["--debug", "data", "pack", "train"])):
        yield


@pytest.mark.usefixtures("_running")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("choose another `out`", "choose another --out"),
        ("`max_drop` is 1", "--max-drop is 1"),
        ("`max-drop` is 1", "--max-drop is 1"),
        ("try `max_drop=2.5`.", "try --max-drop 2.5."),
        ("`live=True` or `live=False`", "--live or --no-live"),
        ("`amount` and `count`", "--count and --count"),
        ("`source` is a folder", "SOURCE is a folder"),
        ("the output `denoised` of `quietcam data`", "the output `denoised` of `quietcam data`"),
        ("`debug` is no option of this command", "`debug` is no option of this command"),
    ],
)
def test_parameters_become_flags(text, expected):
    assert with_flags(text) == expected


@pytest.mark.usefixtures("_running")
def test_say_shows_flags(capsys):
    say("`out` is full")
    assert capsys.readouterr().err == "--out is full\n"


def test_without_a_command_parameters_stay():
    assert with_flags("choose another `out`") == "choose another `out`"


def test_flags_are_looked_up_only_for_a_message_that_names_a_parameter():
    asked = []
    with flags_named(lambda: asked.append(1) or {"out": "--out"}):
        with_flags("nothing")
        assert asked == []
        with_flags("`out`"), with_flags("`out`")
        assert asked == [1]


def test_an_error_names_the_flag_of_the_command_that_ran(monkeypatch, capsys):
    def fail(**_):
        raise errors.StorageError("Cannot write. Remedy: choose another place with `out`; `edges` stays.")

    monkeypatch.setattr("quietcam.app.demo.run_demo", fail)
    assert cli.run(["demo"]) == 1
    assert capsys.readouterr().err == (
        "quietcam: Cannot write. Remedy: choose another place with --out; `edges` stays.\n"
    )


def test_every_command_can_be_looked_up():
    command = typer.main.get_command(cli.app)
    assert flags_of(command, ["--debug", "run"])["model"] == "--model"
    assert flags_of(command, ["data", "generate", "--out", "x"])["out"] == "--out"
