"""The error stream of a command: nobody waits for its reader, and what is left out is counted."""

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
    """A pipe that nobody reads yet, of one page."""
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


def test_who_reads_again_is_waited_for_again(pipe, monkeypatch):
    """Else what is said comes behind what happens after it, for the rest of a run whose reader was stuck once."""
    front, back = pipe
    voice = LineWriter(back, patience=0.01)
    voice.put(b"x" * 5000 + b"\n")  # more than the pipe takes
    read_until(front, b"\n")
    assert voice.flush(WAIT)
    voice._patience = WAIT
    out, real = [], os.write

    def slow(descriptor, words):
        time.sleep(0.1)
        out.append(bytes(words))
        return real(descriptor, words)

    monkeypatch.setattr(os, "write", slow)
    voice.put(b"a line\n")
    assert out == [b"a line\n"]


def test_a_line_is_out_when_it_was_said(pipe):
    front, back = pipe
    LineWriter(back, patience=WAIT).put(b"a line\n")
    os.set_blocking(front, False)
    assert os.read(front, FULL) == b"a line\n"


def test_nobody_waits_for_a_reader_that_is_stuck_and_what_was_left_out_is_told(pipe):
    front, back = pipe
    voice = LineWriter(back, patience=0.01, most=10_000)
    lines = [b"%4d %s\n" % (number, b"x" * 94) for number in range(1000)]

    def talk():
        for line in lines:
            voice.put(line)

    talker = threading.Thread(target=talk)
    talker.start()
    ended(talker)  # though the pipe is full
    lost = voice.lost
    assert 800 < lost < 1000
    assert not voice.flush(0.01)
    got = read_until(front, b"nobody read this stream\n")
    kept = 1000 - lost
    assert (
        got == b"".join(lines[:kept]) + b"quietcam: %d lines are left out here, since nobody read this stream\n" % lost
    )
    voice.put(b"the next\n")
    assert read_until(front, b"next\n") == b"the next\n"
    assert voice.flush(WAIT)


def test_a_stuck_reader_is_waited_for_once(pipe, monkeypatch):
    front, back = pipe
    voice, waits = LineWriter(back, patience=0.01), []
    os.set_blocking(back, True)
    voice.put(b"x" * 5000 + b"\n")
    monkeypatch.setattr(voice._changed, "wait_for", lambda *_: waits.append(1))
    for _ in range(10):
        voice.put(b"another\n")
    assert waits == []
    monkeypatch.undo()
    read_until(front, b"another\n" * 10)


def test_a_reader_that_left_ends_nothing():
    front, back = os.pipe()
    os.close(front)
    voice = LineWriter(back, patience=WAIT)
    for _ in range(3):
        voice.put(b"to nobody\n")
    os.close(back)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_nothing():
    with Path("/dev/full").open("wb") as full:
        voice = LineWriter(full.fileno(), patience=WAIT)
        for _ in range(3):
            voice.put(b"to a full disk\n")


def test_a_forked_child_speaks_too(pipe):
    front, back = pipe
    voice = LineWriter(back, patience=WAIT)
    voice.put(b"parent\n")
    child = os.fork()
    if not child:
        voice.forked()
        voice.put(b"child\n")
        os._exit(0)
    os.waitpid(child, 0)
    assert read_until(front, b"child\n") == b"parent\nchild\n"


def test_the_stream_escapes_what_acts_and_keeps_lines_of_threads_apart(pipe):
    front, back = pipe
    stream = ErrorStream(LineWriter(back, patience=WAIT))
    print("one\x1b[2J\ntwo\udcff", end="", file=stream)
    other = threading.Thread(target=lambda: print("another", "thread", file=stream))
    other.start()
    ended(other)
    stream.flush()
    assert read_until(front, b"xff") == b"one\\x1b[2J\nanother thread\ntwo\\xff"


def test_what_the_reader_cannot_hold_is_escaped(pipe):
    front, back = pipe
    stream = ErrorStream(LineWriter(back, patience=WAIT), encoding="ascii")
    stream.say("größer\nkleiner")
    assert read_until(front, b"\n") == b"gr\\xf6\\xdfer\\nkleiner\n"


def test_raw_is_for_what_draws(pipe):
    front, back = pipe
    ErrorStream(LineWriter(back, patience=WAIT), raw=True).write("\x1b[2K")
    assert read_until(front, b"K") == b"\x1b[2K"


def test_python_takes_it_for_its_own(pipe, monkeypatch):
    front, back = pipe
    monkeypatch.setattr(sys, "stderr", ErrorStream(LineWriter(back, patience=WAIT)))
    assert not sys.stderr.isatty()
    thread = threading.Thread(target=lambda: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    thread.start()
    ended(thread)
    until(lambda: True)
    assert b"ZeroDivisionError" in read_until(front, b"Error:")
