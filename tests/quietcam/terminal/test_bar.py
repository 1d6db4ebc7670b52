"""The progress bar on a terminal, in a command whose libraries print."""

import os
import subprocess
import sys

import pytest

from tests.quietcam.process.test_crash_output import in_command
from tests.waiting import WAIT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pseudo-terminals of Linux")


def on_a_terminal(program: str) -> str:
    front, back = os.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(in_command(program), stderr=back, stdout=subprocess.DEVNULL, env=environment) as process:
        os.close(back)
        told = b""
        while True:
            try:
                told += os.read(front, 4096)
            except OSError:  # the last one has closed it
                break
        assert process.wait(WAIT) == 0, told
    os.close(front)
    return told.decode()


def test_lines_printed_meanwhile_appear_above_the_bar():
    told = on_a_terminal("""
from quietcam.terminal.log import log_shown
from quietcam.terminal.progress import progress
with native_output_caught():
    pass
with log_shown(), progress("cut \\x1b]0;owned\\x07", 4) as bar:
    for _ in range(4):
        with native_output_caught():
            native(b"noise\\n")
        say("said \\x1b[2J in between")
        bar.advance(note="a note \\x1b[31m")
""")
    assert "100%" in told
    assert "\x1b[2K" in told  # rich draws
    assert told.count("said \\x1b[2J in between") == 4
    assert "cut \\x1b]0;owned\\x07" in told
    assert "a note \\x1b[31m" in told
    assert "noise" not in told
    assert not {"\x1b]0;", "\x1b[2J"} & {told[at : at + 4] for at in range(len(told))}
