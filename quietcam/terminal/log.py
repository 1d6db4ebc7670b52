"""The log of the library: ``log.info`` says what happens, ``log.warning`` what the user should know or act on.

Library code has no other way to tell the user something while it works. In your own program, configure the logger
``quietcam`` with :mod:`logging`, like any other; without configuration, Python prints warnings and errors. The command
line shows each record as one line on the standard error stream, and a service as a line of the journal with its level.

In tests, ``caplog`` gets all records from INFO up, with and without a command (``log_level`` in ``pyproject.toml``)::

    def test_a_slow_camera_is_named(caplog):
        open_it()
        assert caplog.messages == ["…"]  # or caplog.records[0].levelname == "WARNING"

A test that calls ``quietcam.app.cli.run`` finds the same lines in ``capsys.readouterr().err``, since ``run`` shows the
log as long as it runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from collections.abc import Iterator

from quietcam.errors import one_line
from quietcam.terminal.say import say
from quietcam.terminal.secrets import shown

__all__ = ["is_shown", "log", "log_shown", "show_debug", "show_log"]

log = logging.getLogger("quietcam")


def _hide_secrets(record: logging.LogRecord) -> bool:
    """Whatever handlers the user's own program has, none of them gets a password or a token."""
    with contextlib.suppress(Exception):  # a wrong placeholder
        text = record.getMessage()
        if (hidden := shown(text)) != text:
            record.msg, record.args = hidden, None
    return True


log.addFilter(_hide_secrets)


class _Lines(logging.Handler):
    """Shows each record as one line, by ``say``. In debug mode, the traceback of its exception follows."""

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)  # without the handler's lock: no thread waits for the line of another
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001  a wrong placeholder in a message must not end a command
            text = f"{record.msg} {record.args}"
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and one_line(error) not in text:
            text = f"{text}: {one_line(error)}"
        say(" ".join(text.split()), level=record.levelno)
        if error is not None and os.environ.get("QUIETCAM_DEBUG"):
            for line in "".join(traceback.format_exception(error)).rstrip("\n").split("\n"):
                say(line, level=logging.DEBUG)


def is_shown() -> bool:
    """Whether this process shows the log, as a command does. Where it does not, it shows no progress bar either."""
    return any(isinstance(each, _Lines) for each in log.handlers)


@contextlib.contextmanager
def log_shown(alone: bool = False) -> Iterator[None]:
    """Show the log on the standard error stream while the block runs. Blocks may be nested; a line is shown once.

    Args:
        alone: pass records to no other handler, for a process of ours: TensorFlow would print them again.
    """
    if is_shown():
        yield
        return
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    show_log()
    log.propagate = propagate and not alone
    try:
        yield
    finally:
        log.handlers[:] = handlers
        log.setLevel(level)
        log.propagate = propagate


def show_log() -> None:
    """Show the log from now on, and by no other handler: for a process of ours, such as a worker of a command."""
    log.addHandler(_Lines())
    log.setLevel(logging.DEBUG if os.environ.get("QUIETCAM_DEBUG") else logging.INFO)
    log.propagate = False


def show_debug() -> None:
    """Show debug records, too, until the block of ``log_shown`` ends."""
    log.setLevel(logging.DEBUG)
