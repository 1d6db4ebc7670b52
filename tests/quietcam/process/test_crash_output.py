"""What native code prints before it crashes the process is not lost."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading

import pytest

from quietcam.process.crash_output import CrashOutput
from tests.waiting import WAIT, ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

START = """
import contextlib, ctypes, faulthandler, os, signal, sys, threading
from quietcam.process.native_output import native_output_caught, native_lines_read, command_stderr
from quietcam.terminal.say import say
libc = ctypes.CDLL(None)

def native(words):
    libc.dprintf(2, b"%s", words)
"""


def in_command(program: str, command: bool = True) -> list[str]:
    """Code that runs ``program`` in our command line, or as a user of the library does."""
    inner = "\n".join(f"    {line}" for line in program.strip().splitlines())
    way = "command_stderr()" if command else "contextlib.nullcontext()"
    return [sys.executable, "-c", f"{START}\nwith {way}:\n{inner}\n"]


def said(program: str, code: int, command: bool = True) -> str:
    """The error output of a process that runs ``program`` and ends with ``code``."""
    done = subprocess.run(in_command(program, command), capture_output=True, timeout=WAIT, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr.decode()


ABORT = """
with native_output_caught(show=False):
    native(b"free(): invalid pointer\\n")
    libc.abort()
"""


@pytest.mark.parametrize("command", [True, False], ids=["command", "library"])
def test_output_before_an_abort_is_shown(command):
    assert said(ABORT, -signal.SIGABRT, command).startswith("free(): invalid pointer\n")


def test_the_python_traceback_of_a_crash_is_shown():
    told = said(ABORT, -signal.SIGABRT)
    assert "Fatal Python error: Aborted" in told
    assert "<module>" in told


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGBUS"])
def test_output_before_another_signal_is_shown(name):
    program = f"""
with native_lines_read(lambda line: True):
    native(b"the reason\\n")
    os.kill(os.getpid(), signal.{name})
"""
    assert said(program, -getattr(signal, name)).startswith("the reason\n")


def test_output_of_another_thread_between_two_blocks_is_shown():
    program = """
with native_output_caught():
    native(b"dropped\\n")
def die():
    native(b"the reason\\n")
    libc.abort()
thread = threading.Thread(target=die)
thread.start()
thread.join()
"""
    told = said(program, -signal.SIGABRT)
    assert told.startswith("the reason\n")
    assert "dropped" not in told


def test_output_that_was_shown_or_dropped_is_not_shown_again():
    program = """
for number in range(3):
    with contextlib.suppress(ValueError), native_output_caught():
        native(b"shown %d\\n" % number)
        raise ValueError
    with native_output_caught():
        native(b"dropped\\n")
import time
time.sleep(1)
native(b"the reason\\n")
faulthandler.disable()
libc.abort()
"""
    assert said(program, -signal.SIGABRT) == "shown 0\nshown 1\nshown 2\nthe reason\n"


def test_crash_output_has_no_control_characters_and_no_password():
    program = """
with native_output_caught():
    native(b"rtsp://user:secret@host/ fails \\x1b[2J\\n")
    libc.abort()
"""
    told = said(program, -signal.SIGABRT)
    assert told.startswith("rtsp://***@host/ fails [2J\n")


@pytest.mark.parametrize("command", [True, False], ids=["command", "library"])
@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "os._exit(0)"])
def test_a_process_that_ends_well_has_no_crash_output(command, end):
    program = f"""
with native_output_caught():
    native(b"noise\\n")
say("done")
{end}
"""
    assert said(program, 0, command) == "done\n"


def test_output_just_before_os_exit_is_shown():
    program = """
with native_output_caught():
    pass
native(b"not passed on yet\\n")
os._exit(3)
"""
    assert said(program, 3) == "not passed on yet\n"


def test_crash_output_is_shown_although_a_forked_child_lives_on():
    program = """
with native_output_caught():
    pass
if not os.fork():
    sys.stdin.read()
    os._exit(0)
native(b"the reason\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen(in_command(program), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            assert select.select([process.stderr], [], [], WAIT)[0], "it waits for the child"
            assert process.stderr.readline() == b"the reason\n"
        finally:
            process.communicate()


def test_the_crash_of_a_forked_child_is_not_taken_for_that_of_the_command():
    program = """
with native_output_caught():
    native(b"noise\\n")
    child = os.fork()
    if not child:
        native(b"child\\n")
        os._exit(0)
    os.waitpid(child, 0)
    native(b"the reason\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert said(program, -signal.SIGKILL) == "child\nnoise\nthe reason\n"


def test_all_else_works_without_a_shell():
    program = """
import subprocess
def none(*_, **__):
    raise OSError("no process left")
subprocess.Popen = none
with native_output_caught():
    native(b"noise\\n")
with contextlib.suppress(ValueError), native_output_caught():
    native(b"the reason\\n")
    raise ValueError
"""
    assert said(program, 0) == "the reason\n"


WITHOUT = {
    "no shell": """
import subprocess
def none(*_, **__):
    raise OSError("no process left")
subprocess.Popen = none
""",
    "first process of a container": "os.getpid = lambda: 1",
}


@pytest.mark.parametrize("why", WITHOUT)
def test_without_a_shell_a_crashing_command_shows_its_traceback_itself(why):
    told = said(f"{WITHOUT[why]}\n{ABORT}", -signal.SIGABRT)
    assert told.startswith("Fatal Python error: Aborted")
    assert "<module>" in told


def test_nothing_waits_for_a_shell_that_is_stopped():
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as reader:
        last = CrashOutput(file.fileno(), reader.fileno())
        try:
            os.kill(last._shell.pid, signal.SIGSTOP)
            telling = threading.Thread(
                target=lambda: [last.shown_up_to(10**9 + each) for each in range(10_000)], daemon=True
            )
            telling.start()  # more than any pipe takes
            ended(telling)
        finally:
            os.kill(last._shell.pid, signal.SIGCONT)
            last.end()
