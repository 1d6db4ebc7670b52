"""The log: one line for each record on the command line, with its level in the journal; caplog gets the records."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from quietcam.app import cli
from quietcam.terminal.log import log, log_shown, show_debug
from quietcam.terminal.say import say

PROGRAM = """
import os, sys
from quietcam.app import cli
from quietcam.errors import DataError
from quietcam.terminal.log import log
from quietcam.terminal.say import say

def work(**_):
    log.debug("a detail")
    log.info("it begins")
    log.warning("it is slow, `out` is far away")
    say("a line of the command")
    raise DataError("it failed")

import quietcam.app.demo
quietcam.app.demo.run_demo = work
cli.main()
"""


@pytest.fixture
def _shown():
    with log_shown():
        yield


@pytest.mark.usefixtures("_shown")
def test_a_record_is_one_line_without_secrets(capsys):
    log.info("rtsp://admin:secret@10.0.0.9/live\nsays %s", "\x1b[2J")
    assert capsys.readouterr() == ("", "rtsp://***@10.0.0.9/live says \\x1b[2J\n")


@pytest.mark.usefixtures("_shown")
def test_debug_records_are_shown_only_when_asked_for(capsys):
    log.debug("hidden")
    show_debug()
    log.debug("visible")
    assert capsys.readouterr().err == "visible\n"


@pytest.mark.usefixtures("_shown")
def test_an_exception_is_shown_at_the_end_of_the_line(capsys, monkeypatch):
    monkeypatch.delenv("QUIETCAM_DEBUG", raising=False)
    try:
        raise TimeoutError
    except TimeoutError:
        log.exception("the camera is lost")
    assert capsys.readouterr().err == "the camera is lost: TimeoutError\n"


@pytest.mark.usefixtures("_shown")
def test_debug_shows_the_traceback_of_a_record(capsys, monkeypatch):
    monkeypatch.setenv("QUIETCAM_DEBUG", "1")
    try:
        raise TimeoutError
    except TimeoutError:
        log.exception("the camera is lost")
    lines = capsys.readouterr().err.splitlines()
    assert (lines[:2], lines[-1]) == (
        ["the camera is lost: TimeoutError", "Traceback (most recent call last):"],
        "TimeoutError",
    )


@pytest.mark.usefixtures("_shown")
def test_a_message_with_a_wrong_placeholder_is_shown_as_it_is(capsys):
    log.propagate = False  # pytest's own handler would fail
    log.info("%d frames", "three")
    assert capsys.readouterr().err == "%d frames ('three',)\n"


@pytest.mark.usefixtures("_shown")
def test_nested_blocks_show_a_record_once(capsys):
    with log_shown():
        log.info("once")
    log.info("and again")
    assert capsys.readouterr().err == "once\nand again\n"


def test_the_logger_is_restored_after_the_block():
    with log_shown(alone=True):
        assert (log.handlers != [], log.level, log.propagate) == (True, logging.INFO, False)
    assert (log.handlers, log.level, log.propagate) == ([], logging.NOTSET, True)


@pytest.mark.parametrize("words", [("see %s", "http://host/?token=secret"), ("see rtsp://admin:secret@10.0.0.9/live",)])
def test_no_handler_of_a_user_gets_a_secret(caplog, words):
    log.info(*words)
    assert "***" in caplog.text
    assert "secret" not in caplog.text


def test_caplog_gets_records_of_the_library(caplog):
    log.info("it begins")
    assert caplog.messages == ["it begins"]


def test_caplog_and_capsys_get_records_of_a_command(caplog, capsys, monkeypatch):
    monkeypatch.setattr("quietcam.app.demo.run_demo", lambda **_: log.warning("`out` is full"))
    assert cli.run(["demo"]) == 0
    assert (caplog.messages, capsys.readouterr().err) == (["`out` is full"], "--out is full\n")


@pytest.mark.parametrize("debug", [False, True])
def test_a_command_shows_each_line_once(debug):
    done = _started(["--debug", "demo"] if debug else ["demo"])
    lines = [each for each in done.stderr.splitlines() if not each.startswith((" ", "Traceback", "quietcam.errors"))]
    assert lines == [
        *(["a detail"] if debug else []),
        "it begins",
        "it is slow, --out is far away",
        "a line of the command",
        "quietcam: it failed",
    ]


def test_lines_for_the_journal_begin_with_their_level(tmp_path):
    file = tmp_path / "journal"
    with file.open("wb") as journal:
        status = os.fstat(journal.fileno())
        _started(["demo"], stderr=journal, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    assert file.read_text().splitlines() == [
        "<6>it begins",
        "<4>it is slow, --out is far away",
        "<6>a line of the command",
        "<3>quietcam: it failed",
    ]


def test_a_stream_that_is_not_the_journal_gets_no_level(tmp_path):
    other = tmp_path.stat()
    done = _started(["demo"], JOURNAL_STREAM=f"{other.st_dev}:{other.st_ino}")
    assert "<" not in done.stderr


def test_a_replaced_error_stream_gets_no_level(capsys, monkeypatch):
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    say("a line")
    assert capsys.readouterr().err == "a line\n"


def test_without_configuration_only_warnings_are_printed():
    code = "from quietcam.terminal.log import log; log.info('it begins'); log.warning('it is slow')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "it is slow\n")


def test_worker_processes_show_the_log_like_the_command(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(
        """
import multiprocessing
from quietcam.__main__ import start
from quietcam.terminal.log import log

def work():
    log.info("a \x1b[2J name, rtsp://admin:secret@10.0.0.9/live")

if __name__ == "__main__":
    worker = multiprocessing.get_context("spawn").Process(target=work)
    worker.start()
    worker.join()
"""
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stderr == "a \\x1b[2J name, rtsp://***@10.0.0.9/live\n"


def _started(words, stderr=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "QUIETCAM_DEBUG"} | environment,
    )
