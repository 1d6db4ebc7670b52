"""A whole command of quietcam's in this process, and all that it says, wherever it comes from."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from unittest import mock

from quietcam.app import cli
from quietcam.terminal import progress

__all__ = ["Told", "run_command"]


_UNEXPECTED = re.compile(r"quietcam: unexpected|Error in|Exception ignored")


@dataclass(frozen=True)
class Told:
    """How a command ended.

    Attributes:
        code: its exit code.
        out: what it wrote to the standard output.
        said: what it said on the error stream.
    """

    code: int
    out: str
    said: str


def run_command(words: Sequence[str]) -> Told:
    """Run one. What is said goes past ``sys.stderr`` at times, so it is caught where it is said.

    Raises:
        AssertionError: a user would have seen a traceback, an error that nobody thought of, or what acts on a terminal.
    """
    out, said = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(said),
        mock.patch.object(progress, "write_line", lambda line: print(line, file=said)),
    ):
        code = cli.run(words)
    told = Told(code, out.getvalue(), said.getvalue())
    for text in (told.out, told.said):
        assert "Traceback" not in text, text[-4000:]
    assert not _UNEXPECTED.search(told.said), told.said[:2000]
    bad = [each for each in told.said if not each.isprintable() and each not in "\n\t"]
    assert not bad, (bad, told.said[:2000])
    return told
