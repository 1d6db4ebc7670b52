"""Progress on a terminal and elsewhere."""

import io
import logging
import os
import subprocess
import sys

import pytest

from quietcam.terminal import progress as module
from quietcam.terminal.log import log_shown
from quietcam.terminal.progress import progress
from quietcam.terminal.say import say


@pytest.fixture
def _command():
    with log_shown():
        yield


def test_say_keeps_stdout_clean(capsys):
    say("a notice")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "a notice\n")


@pytest.mark.usefixtures("_command")
def test_plain_lines_when_done(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress("cut", 3_000_000) as bar:
        bar.advance(1_000_000, "loss 0.5")
        bar.advance(2_000_000)
    assert capsys.readouterr().err == "cut: 3000000 of 3000000, 3 s, loss 0.5\n"


@pytest.mark.usefixtures("_command")
def test_plain_lines_now_and_then(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with progress("read", None) as bar:
        for _ in range(25):
            now += 1.0
            bar.advance()
    assert capsys.readouterr().err.splitlines() == ["read: 10, 10 s", "read: 20, 20 s", "read: 25, 25 s"]


@pytest.mark.usefixtures("_command")
def test_plain_lines_estimate_the_time_left(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with progress("pack", 1000) as bar:
        for step in (10, 100, 350, 500):
            now += 200.0
            bar.advance(step, "3 patches")
        now += 5.0
        bar.advance(40)
    assert capsys.readouterr().err.splitlines() == [
        "pack: 10 of 1000, 200 s, about 5 h 30 min left, 3 patches",
        "pack: 110 of 1000, 400 s, about 54 min left, 3 patches",
        "pack: 460 of 1000, 600 s, about 12 min left, 3 patches",
        "pack: 960 of 1000, 800 s, about 33 s left, 3 patches",
        "pack: 1000 of 1000, 805 s, 3 patches",
    ]


@pytest.mark.usefixtures("_command")
def test_work_that_ends_early_shows_no_time_left(capsys):
    with progress("watch", 400) as bar:
        bar.advance(4)
    assert capsys.readouterr().err == "watch: 4 of 400, 0 s\n"


@pytest.mark.usefixtures("_command")
def test_work_that_fails_is_not_reported_as_done(capsys):
    def fails():
        with progress("cut", 2) as bar:
            bar.advance()
            raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        fails()
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("_command")
def test_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with progress("[train]", 4) as bar:
        for _ in range(4):
            bar.advance(note="[dB] 30.1")
        say("said in between")
    shown = terminal.getvalue()
    assert "100%" in shown
    assert "[train]" in shown
    assert "[dB] 30.1" in shown
    assert "said in between" in shown


@pytest.mark.parametrize("terminal", [False, True])
def test_a_users_own_program_gets_records_and_no_bar(capsys, caplog, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    caplog.set_level(logging.INFO, "quietcam")
    with progress("cut", 4) as bar:
        bar.advance(4, "100 % of %d")
    assert capsys.readouterr() == ("", "")
    assert caplog.messages == ["cut: 4 of 4, 0 s, 100 % of %d"]


def test_importing_needs_neither_rich_nor_numpy():
    code = "import sys, quietcam.terminal.progress; sys.exit(str({'rich', 'numpy'} & set(sys.modules) or ''))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.stderr.strip() == ""
