"""The error stream of a command: no thread waits for a slow reader, and lines that are left out are counted."""

import fcntl
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from quietcam.process.error_stream import ErrorStream, LineWriter
from tests.waiting import WAIT, ended, until

FULL = 1 << 16


@pytest.fixture
def pipe():
    """A pipe of one page that is not read yet."""
    front, back = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(back, fcntl.F_SETPIPE_SZ, 4096)
    yield front, back
    os.close(front)
    os.close(back)


def read_until(front: int, end: bytes) -> bytes:
    got = b""
    while end not in got:
        got += os.read(front, FULL)
    return got


def test_put_waits_again_once_the_reader_goes_on(pipe, monkeypatch):
    """Otherwise, after a reader was stuck once, lines would come too late for the rest of a run."""
    front, back = pipe
    writer = LineWriter(back, patience=0.01)
    writer.put(b"x" * 5000 + b"\n")  # more than the pipe takes
    read_until(front, b"\n")
    assert writer.flush(WAIT)
    writer._patience = WAIT
    out, real = [], os.write

    def slow(descriptor, words):
        time.sleep(0.1)
        out.append(bytes(words))
        return real(descriptor, words)

    monkeypatch.setattr(os, "write", slow)
    writer.put(b"a line\n")
    assert out == [b"a line\n"]


def test_put_returns_when_the_line_is_written(pipe):
    front, back = pipe
    LineWriter(back, patience=WAIT).put(b"a line\n")
    os.set_blocking(front, False)
    assert os.read(front, FULL) == b"a line\n"


def test_put_does_not_wait_for_a_stuck_reader_and_lost_lines_are_counted(pipe):
    front, back = pipe
    writer = LineWriter(back, patience=0.01, most=10_000)
    lines = [b"%4d %s\n" % (number, b"x" * 94) for number in range(1000)]

    def talk():
        for line in lines:
            writer.put(line)

    talker = threading.Thread(target=talk)
    talker.start()
    ended(talker)  # though the pipe is full
    lost = writer.lost
    assert 800 < lost < 1000
    assert not writer.flush(0.01)
    got = read_until(front, b"nobody read this stream\n")
    kept = 1000 - lost
    assert (
        got == b"".join(lines[:kept]) + b"quietcam: %d lines are left out here, since nobody read this stream\n" % lost
    )
    writer.put(b"the next\n")
    assert read_until(front, b"next\n") == b"the next\n"
    assert writer.flush(WAIT)


def test_put_waits_for_a_stuck_reader_only_once(pipe, monkeypatch):
    front, back = pipe
    writer, waits = LineWriter(back, patience=0.01), []
    os.set_blocking(back, True)
    writer.put(b"x" * 5000 + b"\n")
    monkeypatch.setattr(writer._changed, "wait_for", lambda *_: waits.append(1))
    for _ in range(10):
        writer.put(b"another\n")
    assert waits == []
    monkeypatch.undo()
    read_until(front, b"another\n" * 10)


def test_lines_for_a_reader_that_has_gone_are_lost_without_an_error():
    front, back = os.pipe()
    os.close(front)
    writer = LineWriter(back, patience=WAIT)
    for _ in range(3):
        writer.put(b"to nobody\n")
    os.close(back)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_lines_for_a_full_disk_are_lost_without_an_error():
    with Path("/dev/full").open("wb") as full:
        writer = LineWriter(full.fileno(), patience=WAIT)
        for _ in range(3):
            writer.put(b"to a full disk\n")


def test_a_forked_child_writes_too(pipe):
    front, back = pipe
    writer = LineWriter(back, patience=WAIT)
    writer.put(b"parent\n")
    child = os.fork()
    if not child:
        writer.forked()
        writer.put(b"child\n")
        os._exit(0)
    os.waitpid(child, 0)
    assert read_until(front, b"child\n") == b"parent\nchild\n"


def test_the_stream_escapes_control_characters_and_keeps_lines_of_threads_apart(pipe):
    front, back = pipe
    stream = ErrorStream(LineWriter(back, patience=WAIT))
    print("one\x1b[2J\ntwo\udcff", end="", file=stream)
    other = threading.Thread(target=lambda: print("another", "thread", file=stream))
    other.start()
    ended(other)
    stream.flush()
    assert read_until(front, b"xff") == b"one\\x1b[2J\nanother thread\ntwo\\xff"


def test_characters_that_the_encoding_cannot_hold_are_escaped(pipe):
    front, back = pipe
    stream = ErrorStream(LineWriter(back, patience=WAIT), encoding="ascii")
    stream.say("größer\nkleiner")
    assert read_until(front, b"\n") == b"gr\\xf6\\xdfer\\nkleiner\n"


def test_a_raw_stream_lets_escape_sequences_through(pipe):
    front, back = pipe
    ErrorStream(LineWriter(back, patience=WAIT), raw=True).write("\x1b[2K")
    assert read_until(front, b"K") == b"\x1b[2K"


def test_python_accepts_it_as_sys_stderr(pipe, monkeypatch):
    front, back = pipe
    monkeypatch.setattr(sys, "stderr", ErrorStream(LineWriter(back, patience=WAIT)))
    assert not sys.stderr.isatty()
    thread = threading.Thread(target=lambda: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    thread.start()
    ended(thread)
    until(lambda: True)
    assert b"ZeroDivisionError" in read_until(front, b"Error:")
