"""The error stream of our command line: all output arrives, whatever hangs and however slowly it is read."""

import os
import signal
import subprocess
import sys

import pytest

from tests.quietcam.process.test_crash_output import in_command, said
from tests.waiting import WAIT


def test_native_output_outside_of_any_block_is_shown():
    program = """
with native_output_caught():
    native(b"dropped\\n")
native(b"a driver's line \\x07\\n")
say("said")
"""
    told = said(program, 0)
    assert sorted(told.splitlines()) == ["a driver's line \\x07", "said"]


def test_native_output_is_shown_while_the_command_runs():
    program = """
with native_output_caught():
    pass
native(b"a driver's line\\n")
sys.stdin.readline()
"""
    with subprocess.Popen(
        in_command(program),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"a driver's line\n"
        process.communicate(b"\n", timeout=WAIT)


def test_a_block_in_one_thread_does_not_silence_python_in_another():
    program = """
with native_output_caught():
    thread = threading.Thread(target=lambda: print("a traceback, say", file=sys.stderr))
    thread.start()
    thread.join()
    print("a library's Python", file=sys.stderr)
    say("of importance")
"""
    assert said(program, 0) == "a traceback, say\nof importance\n"


def test_the_output_of_a_block_that_hangs_is_shown_at_the_end():
    program = """
inside = threading.Event()
def hang():
    with native_output_caught():
        native(b"cannot reach the disk\\n")
        inside.set()
        threading.Event().wait()
threading.Thread(target=hang, daemon=True).start()
inside.wait()
"""
    assert said(program, 0) == "cannot reach the disk\n"


def test_child_processes_write_to_the_original_stream():
    program = """
import subprocess
from quietcam.process.native_output import stderr_for_children
with native_output_caught():
    subprocess.run(["/bin/sh", "-c", "echo child >&2"], stderr=stderr_for_children())
    native(b"dropped\\n")
"""
    assert said(program, 0) == "child\n"


@pytest.mark.parametrize("command", [True, False])
def test_a_command_works_with_a_closed_error_stream(command, tmp_path):
    way = "command_stderr()" if command else "contextlib.nullcontext()"
    program = f"""
import contextlib, os
from quietcam.process.native_output import native_output_caught, native_lines_read, command_stderr
from quietcam.terminal.progress import progress
from quietcam.terminal.say import say
with {way}:
    with open({str(tmp_path / "file")!r}, "wb") as file:  # would be descriptor 2
        with native_output_caught(), native_lines_read(lambda _: True), progress("x", 1) as bar:
            bar.advance()
        say("to nobody")
        if {command}:
            os.write(2, b"a library's words")
    print("done")
"""
    words = ["/bin/sh", "-c", 'exec 2>&-; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=WAIT, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert (tmp_path / "file").read_bytes() == b""


def test_a_command_ends_although_its_reader_is_stuck():
    """As in ``quietcam … 2>&1 | something that hangs``: the pipe is full."""
    program = """
with native_output_caught():
    pass
for number in range(3000):
    say(f"line {number} " + "x" * 200)
native(b"a library's words\\n")
with contextlib.suppress(ValueError), native_output_caught():
    native(b"more of them\\n")
    raise ValueError
print("warning", file=sys.stderr)
os.write(1, b"done")
"""
    with subprocess.Popen(
        in_command(program),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b"done"  # not a byte of the error stream has been read
        assert process.wait(WAIT) == 0
        told = process.stderr.read().decode().splitlines()
    assert told[0].startswith("line 0 ")
    assert len(told) < 3000


def test_ctrl_c_ends_the_command_and_not_the_shell_that_watches_it():
    program = """
with contextlib.suppress(KeyboardInterrupt):
    with native_output_caught():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(1, b"!")
        threading.Event().wait()
with native_output_caught():
    native(b"the reason\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen(
        in_command(program),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"!"
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=WAIT)[1] == b"the reason\n"


def test_the_library_does_not_change_the_error_stream():
    program = """
import stat
before = os.fstat(2)
stream = sys.stderr
with native_output_caught():
    pass
assert os.path.sameopenfile(2, stream.fileno()) and sys.stderr is stream
assert (os.fstat(2).st_dev, os.fstat(2).st_ino) == (before.st_dev, before.st_ino)
assert [each.name for each in threading.enumerate()] == ["MainThread"]
"""
    assert said(program, 0, command=False) == ""


def test_a_command_leaves_no_thread_and_no_redirected_stream_behind():
    program = """
before = sys.stderr
for _ in range(2):
    with command_stderr():
        with native_output_caught():
            native(b"noise\\n")
        say("said")
assert sys.stderr is before
native(b"after\\n")
"""
    assert said(program, 0, command=False) == "said\nsaid\nafter\n"
