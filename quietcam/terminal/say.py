"""One line of a command on the standard error stream."""

from __future__ import annotations

import logging

from quietcam.process.native_output import write_line
from quietcam.terminal.flags import with_flags
from quietcam.terminal.journal import prefix
from quietcam.terminal.printable import printable
from quietcam.terminal.secrets import shown

__all__ = ["say"]


def say(message: str, as_it_is: bool = False, level: int = logging.INFO) -> None:
    """Print one line on the standard error stream: for command modules. Library code calls ``log`` instead.

    In a command it never waits long: neither for a thread that is inside native code nor for a reader who is stuck.
    Parameters in backticks are shown as the command's flags. In a service, the line has its level in the journal.

    Args:
        message: control characters in it are escaped, line ends included.
        as_it_is: show secrets in it, too, such as the address of a page with the token that was made for it.
        level: one of :mod:`logging`.
    """
    line = printable(with_flags(message))
    write_line(prefix(level) + (line if as_it_is else shown(line)))
