"""Levels for the journal of systemd: ``<4>`` at the start of a line marks a warning, see sd-daemon(3)."""

from __future__ import annotations

import logging
import os
import sys

from quietcam.process.error_stream import ErrorStream
from quietcam.process.native_output import stderr_for_children

__all__ = ["prefix"]

_LEVELS = ((logging.CRITICAL, "<2>"), (logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"))


def prefix(level: int) -> str:
    """The prefix of a line of this level (one of :mod:`logging`). Empty if the lines do not go to the journal."""
    if not _journal_reads():
        return ""
    return next((sign for least, sign in _LEVELS if level >= least), "<7>")


def _journal_reads() -> bool:
    """Whether the standard error stream is the one that ``JOURNAL_STREAM`` names by device and inode."""
    named = os.environ.get("JOURNAL_STREAM")
    if not named or not (isinstance(sys.stderr, ErrorStream) or sys.stderr is sys.__stderr__):
        return False
    try:
        status = os.fstat(stderr_for_children())
    except OSError:
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
