"""Hostile names of files: on no way out do they control a terminal or add a line to a journal."""

from __future__ import annotations

import ast
import contextlib
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table
from rich.text import Text

import quietcam
from quietcam.app.cli import run
from quietcam.data.generated import write_pairs
from quietcam.terminal.console import PlainConsole
from tests.waiting import WAIT

NAME = os.fsdecode(b"\x1b]0;owned\x07\nquietcam: all is well [red]:boom:\xe2\x80\xaegnp\xff\xc2\x9b2J")
SEEN = "\\x1b]0;owned\\x07\\nquietcam: all is well [red]:boom:\\u202egnp\\xff\\x9b2J"


def harmless(told: str) -> None:
    bad = [each for each in told if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") and each != "\n"]
    assert not bad, told
    assert not any(line.startswith("quietcam: all is well") for line in told.splitlines())
    told.encode()


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--source", "{}", "--sink", "null"],
        ["run", "--source", "synthetic:frames=1,size=64x48", "--sink", "{}.xyz"],
        ["run", "--source", "synthetic:frames=1,size=64x48", "--sink", "null", "--model", "{}"],
        ["run", "--config", "{}"],
        ["run", "{}"],
        ["capture", "--source", "{}", "--out", "out"],
        ["bench", "--model", "{}"],
        ["data", "index", "{}"],
        ["data", "pack", "{}", "--out", "out"],
        ["lint", "{}"],
        ["calibrate", "--data", "{}", "--out", "set.npz"],
        ["compare", "{}", "--data", "{}"],
        ["coral", "check", "{}"],
        ["convert", "{}", "--recipe", "float32"],
        ["train", "{}", "--data", "{}"],
        ["{}"],
        ["--debug", "lint", "{}"],
    ],
    ids=lambda words: " ".join(words).replace("{}", "NAME"),
)
@pytest.mark.usefixtures("at")
def test_an_error_names_the_file_harmlessly(
    words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIETCAM_DEBUG", "")
    assert run([each.replace("{}", NAME) for each in words]) not in (0, None)
    told = capfd.readouterr()
    assert "owned" in told.err
    harmless(told.out + told.err)


def test_tables_show_a_hostile_name_harmlessly(at: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = at / NAME
    write_pairs(folder, count=2, size=300)
    (folder / "noisy" / f"{NAME}.png").write_bytes(b"broken")
    (folder / "clean" / f"{NAME}.png").write_bytes(b"broken")
    for words in (
        ["data", "index", str(folder)],
        ["data", "generate", "--count", "1", "--size", "32", "--out", str(at / (NAME + "2"))],
        ["calibrate", "--data", str(folder), "--out", str(at / f"{NAME}.npz"), "--count", "2"],
        ["lint", str(at / f"{NAME}.npz")],
    ):
        run(words)
        told = capfd.readouterr()
        assert "owned" in told.out + told.err, words
        harmless(told.out + told.err)


def test_a_saved_array_with_odd_keys(at: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key = NAME.encode(errors="replace").decode().replace("/", "")
    np.savez(at / "set.npz", **{key: np.zeros((4, 32, 32, 3), np.uint8)})
    run(["lint", str(at / "set.npz")])
    told = capfd.readouterr()
    harmless(told.out + told.err)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_command_shows_a_hostile_name_harmlessly_in_any_encoding(at: Path, encoding: str) -> None:
    folder = at / NAME
    write_pairs(folder, count=1, size=32)
    done = subprocess.run(
        [sys.executable, "-m", "quietcam", "data", "index", os.fsencode(folder)],
        capture_output=True,
        timeout=WAIT,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(*quietcam.__path__).parent)},
    )
    assert done.returncode == 0, done.stderr
    harmless((done.stdout + done.stderr).decode(encoding))


def test_a_cell_is_not_taken_for_markup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    table = Table(title=NAME)
    table.add_column(NAME)
    table.add_row(NAME)
    table.add_row(Text(NAME))
    console = PlainConsole()
    for each in (NAME, Text(NAME), table):
        console.print(each)
    told = capsys.readouterr().out
    assert told.count(SEEN) == 4
    assert told.count("all is well [red]:boom:") == 6  # a text may have several lines
    assert not {each for each in told if unicodedata.category(each) in ("Cc", "Cf", "Cs")} - {"\n"}


def test_the_columns_of_a_table_stay_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    for cells in (("\x1b[2J", "one"), ("plain", "two")):
        table.add_row(*cells)
    PlainConsole().print(table)
    one, two = (line for line in capsys.readouterr().out.splitlines() if "one" in line or "two" in line)
    assert one.index("one") == two.index("two")


class _Ways(ast.NodeVisitor):
    """Finds code that writes to a terminal without the function for it."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        owner = getattr(getattr(node.func, "value", None), "attr", "")
        with contextlib.suppress(AttributeError):
            if name in ("print", "Console") and isinstance(node.func, ast.Name):
                self.found.append(node.lineno)
        if name in ("write", "writelines") and owner in ("stdout", "stderr"):
            self.found.append(node.lineno)
        self.generic_visit(node)


def test_all_output_goes_through_say_or_report_console() -> None:
    """``say`` for the error stream, ``report_console`` for the standard output."""
    allowed = {
        "quietcam/process/native_output.py": 1,  # write_line
        "quietcam/process/stopping.py": 1,  # to sys.stderr, which is ours
        "quietcam/app/cli.py": 1,  # typer's help
        "quietcam/terminal/report.py": 1,  # JSON, which is ASCII
        "edge/service/__main__.py": 2,  # its own texts
    }
    root = Path(*quietcam.__path__).parent
    found = {}
    for package in ("quietcam", "edge", "calibration", "convert", "train"):
        for path in (root / package).rglob("*.py"):
            ways = _Ways()
            ways.visit(ast.parse(path.read_text(encoding="utf-8")))
            if ways.found:
                found[str(path.relative_to(root))] = len(ways.found)
    assert found == allowed
