"""How a process ends after a signal, whatever its main thread does. Each test has a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import quietcam
from tests.waiting import WAIT, ended

# Limits that no stall reaches; those that a test is about are set by it.
BEGIN = f"""
import ctypes, os, signal, sys, threading, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
from quietcam.process import stopping
from quietcam.process.stopping import process
stopping.LIMIT = stopping.LONGEST = {10 * WAIT}
stopping._LISTENS = {10 * WAIT}
process.install()

def ready():
    print("ready", flush=True)

def told():
    print("told", flush=True)

def native():
    lock = ctypes.create_string_buffer(128)
    for _ in range(2):  # the second waits for ever, whatever signals come
        ctypes.CDLL(None).pthread_mutex_lock(lock)
"""


class Script:
    """A process that runs ``BEGIN`` and then ``code``."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN + code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(Path(quietcam.__path__[0]).parent)},
        )

    def until(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{word}\n"

    def send(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        said = ended(self.process)
        return self.process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_hangs_in_native_code_ends_at_once(number: int) -> None:
    script = Script("ready(); native()")
    script.until("ready")
    script.send(number)
    assert script.end() == (130, "quietcam: interrupted; nothing was begun\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_other_commands_are_interrupted_once(number: int) -> None:
    code = """
process.interrupt_main()
try:
    ready()
    time.sleep(1000)
except KeyboardInterrupt:
    told()
    time.sleep(1)  # saving: a second signal does not disturb it
    print("saved", flush=True)
process.leave(130)
"""
    script = Script(code)
    script.until("ready")
    script.send(number)
    script.until("told")
    script.send(number)
    script.until("saved")
    assert script.end() == (130, "")


def test_a_hangup_ends_other_commands_as_it_always_does() -> None:
    """Also a SIGHUP that comes before the command is known."""
    script = Script("ready()\nwhile not process.hangups: time.sleep(0.01)\nprocess.interrupt_main()\ntime.sleep(1000)")
    script.until("ready")
    script.send(signal.SIGHUP)
    assert script.end()[0] == -signal.SIGHUP


def test_a_run_is_asked_to_stop_and_ends_by_itself() -> None:
    code = """
gone = threading.Event()
with process.stopped_by(gone.set):
    ready()
    gone.wait()
    process.ends_itself()
assert process.asked and process.seconds_left(5.0) <= 5.0
process.leave(130)
"""
    for number in (signal.SIGINT, signal.SIGTERM):
        script = Script(code)
        script.until("ready")
        script.send(number)
        assert script.end() == (130, "")


def test_a_run_that_does_not_react_is_interrupted() -> None:
    code = """
stopping._LISTENS = 0.1
with process.stopped_by(told):
    try:
        ready()
        threading.Event().wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
time.sleep(0.5)  # once only
process.leave(130)
"""
    script = Script(code)
    script.until("ready")
    script.send()
    script.until("told")
    script.until("interrupted")
    assert script.end() == (130, "")


def test_threads_that_hang_are_left_behind_and_named() -> None:
    code = """
stopping.LIMIT = 0.5
threading.Thread(target=native, name="quietcam-sink-\\x1b[2J.avi", daemon=True).start()
with process.stopped_by(told):
    ready()
    native()
"""
    script = Script(code)
    script.until("ready")
    script.send()
    code_, said = script.end()
    assert code_ == 130
    left = r"left behind, as it had not ended: sink-\x1b[2J.avi"  # nothing that acts on a terminal
    assert said == f"quietcam: interrupted; what was finished is kept; {left}\n"


def test_a_second_signal_ends_a_run_at_once_unless_it_follows_the_first_immediately() -> None:
    code = """
with process.stopped_by(told):
    ready()
    process.ends_itself()
    native()
"""
    script = Script(f"stopping._ONE_WISH = {10 * WAIT}" + code)
    script.until("ready")
    script.send()
    script.until("told")
    script.send()  # as timeout(1) does it
    again = Script("stopping._ONE_WISH = 0.0" + code)
    again.until("ready")
    again.send()
    again.until("told")
    again.send(signal.SIGINT)
    code_, said = again.end()
    assert (code_, "a second time" in said) == (130, True)
    assert script.process.poll() is None
    script.process.kill()
    script.end()


@pytest.mark.parametrize("works", [True, False])
def test_the_process_waits_longer_for_a_working_sink_than_for_one_that_hangs(works: bool) -> None:
    """A sink that hangs wakes now and then, as a driver may."""
    code = f"""
stopping.LIMIT = 1.0

def finish():
    with process.finishing():
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            if not {works}:
                time.sleep(0.05)
        print("finished", flush=True)

thread = threading.Thread(target=finish, daemon=True, name="quietcam-sink")
with process.stopped_by(told):
    thread.start()
    ready()
    left = process.wait([thread], 1000.0)
    process.ends_itself()
process.leave(130)
"""
    script = Script(code)
    script.until("ready")
    script.send()
    script.until("told")
    if works:
        script.until("finished")
    code_, said = script.end()
    assert code_ == 130
    assert ("left behind" in said) is not works


@pytest.mark.parametrize(
    ("what", "hangs", "out", "said"),
    [
        ("process.interrupt_main()", False, "flushed atexit\n", ""),
        ("process.interrupt_main()", True, "flushed ", ""),
        ("process.stopped_by(told).__enter__()", False, "flushed ", ""),
        (
            "process.stopped_by(told).__enter__()",
            True,
            "flushed ",
            "quietcam: left behind, as it had not ended: reader\n",
        ),
    ],
)
def test_the_end_of_a_process_keeps_its_own_code(what: str, hangs: bool, out: str, said: str) -> None:
    """The shutdown of the interpreter and of libraries may wait for a thread that hangs."""
    code = f"""
import atexit
atexit.register(lambda: print("atexit", flush=True))
{what}
if {hangs}:
    threading.Thread(target=native, name="quietcam-reader").start()  # no daemon: Python would wait for it
print("flushed ", end="")
process.leave(3)
"""
    script = Script(code)
    assert script.process.communicate(timeout=WAIT) == (out, said)
    assert script.process.returncode == 3


def test_a_thread_that_is_about_to_end_is_not_left_behind() -> None:
    code = f"""
stopping._RESERVE = {WAIT}
process.stopped_by(told).__enter__()
threading.Thread(target=time.sleep, args=(0.3,), name="quietcam-model", daemon=True).start()
process.leave(3)
"""
    assert Script(code).end() == (3, "")


def test_a_signal_that_comes_when_a_run_has_ended_changes_nothing() -> None:
    """Python restores signal handlers before its shutdown ends; a signal would then kill the process."""
    code = """
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)

last = Last()
process.stopped_by(told).__enter__()
process.leave(3)
"""
    assert Script(code).end() == (3, "")


def test_in_a_library_it_does_nothing() -> None:
    code = """
from quietcam.process.stopping import Stopping
library = Stopping()
library.interrupt_main()
library.hangup_stops()
with library.stopped_by(told):
    library.ends_itself()
assert library.seconds_left(7.0) == 7.0
assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL  # the process' own, of BEGIN
thread = threading.Thread(target=time.sleep, args=(0.1,))
thread.start()
assert library.wait([thread, threading.Thread()], 100.0) == []
"""
    assert Script(code).end() == (0, "")
