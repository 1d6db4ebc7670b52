"""Runs a whole quietcam command in this process, and catches all of its output."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from unittest import mock

from quietcam.app import cli
from quietcam.terminal import say

__all__ = ["Told", "run_command"]


_UNEXPECTED = re.compile(r"quietcam: unexpected|Error in|Exception ignored")


@dataclass(frozen=True)
class Told:
    """How a command ended.

    Attributes:
        code: its exit code.
        out: what it wrote to the standard output.
        said: its output on the error stream.
    """

    code: int
    out: str
    said: str


def run_command(words: Sequence[str]) -> Told:
    """Run one command. Some output bypasses ``sys.stderr``, so it is caught where it is made.

    Raises:
        AssertionError: a user would have seen a traceback, an unexpected error, or control characters.
    """
    out, said = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(said),
        mock.patch.object(say, "write_line", lambda line: print(line, file=said)),
    ):
        code = cli.run(words)
    told = Told(code, out.getvalue(), said.getvalue())
    for text in (told.out, told.said):
        assert "Traceback" not in text, text[-4000:]
    assert not _UNEXPECTED.search(told.said), told.said[:2000]
    bad = [each for each in told.said if not each.isprintable() and each not in "\n\t"]
    assert not bad, (bad, told.said[:2000])
    return told
