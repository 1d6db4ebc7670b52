"""Command: a program of the user's that runs at an event, without a shell and for a limited time."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from edge.child.process import inherited
from edge.events.event import Event
from quietcam.errors import UsageError
from quietcam.terminal.printable import printable
from quietcam.terminal.secrets import shown

__all__ = ["Command"]

_LIMIT = 30.0  # seconds that a command may run
_PULSE = 0.1  # seconds between two looks at a command that runs
_SHOWN = 300  # characters of what a command that failed said last
_KEPT = 4096  # bytes of its output that are kept
_READS = 32  # pieces of its output that are read in one look


class Command:
    """The program gets the event in variables (``QUIETCAM_EVENT``, ``QUIETCAM_EVENT_MESSAGE`` …) and as JSON on its
    standard input. It and what it starts are one process group, which is killed after ``limit`` seconds.

    Args:
        text: words as a shell splits them, such as ``/usr/local/bin/notify me``. No shell runs them: ``sh -c '…'``
            starts one.
        limit: seconds.

    Attributes:
        name: what messages show: the program's name, since its arguments may hold secrets.

    Raises:
        UsageError: the text cannot be split, or there is no such program.
    """

    attempts = 1

    def __init__(self, text: str, limit: float = _LIMIT) -> None:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise _wrong("text with an open quotation mark or a \\ at its end") from error
        program = shutil.which(words[0]) if words else None
        if program is None:
            raise _wrong(
                f"{shown(printable(words[0] if words else ''), whole=True) or '(nothing)'}, which is no program"
            )
        self.name = os.path.basename(program)  # noqa: PTH119  a name, not a path
        self._words = [program, *words[1:]]
        self._limit = limit

    def tell(self, event: Event, left_out: int, stopped: Callable[[], bool]) -> str | None:
        """Run it, and wait until it ends. Why it failed, or None.

        Args:
            stopped: whether to kill it now.
        """
        told = event.report(left_out)
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(told),
                start_new_session=True,
            )
        except OSError as error:
            return str(error.strerror or error)
        with process:
            assert process.stdin is not None
            with contextlib.suppress(OSError):  # it need not read
                os.write(process.stdin.fileno(), (event.json(left_out) + "\n").encode())  # a pipe holds more than that
            with contextlib.suppress(OSError):
                process.stdin.close()
            return self._wait(process, stopped)

    def _wait(self, process: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> str | None:
        assert process.stdout is not None
        heard = process.stdout.fileno()
        os.set_blocking(heard, False)
        end, said, over = time.monotonic() + self._limit, b"", ""
        while not over and not _has_ended(process.pid):
            with contextlib.suppress(OSError):
                select.select([heard], [], [], _PULSE)
            said, open_ = _read(heard, said)
            if not open_:
                time.sleep(_PULSE)  # it has closed its output, and runs on
            if stopped():
                over = "quietcam stops"
            elif time.monotonic() >= end:
                over = f"it ran for more than {self._limit:.0f} s"
        with contextlib.suppress(OSError):
            os.killpg(
                process.pid, signal.SIGKILL
            )  # what it left behind, too; its number is not given away before wait()
        code = process.wait()
        if not over and code == 0:
            return None
        how = over or (f"it ended with exit code {code}" if code > 0 else f"signal {-code} ended it")
        words = _read(heard, said)[0].decode(errors="replace").split()
        last = shown(printable(" ".join(words)))[-_SHOWN:]
        return f"{how}; it said: {last}" if last else how


def _has_ended(pid: int) -> bool:
    """Whether the process has ended. It is not waited for, so its number stays its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _environment(told: dict[str, Any]) -> dict[str, str]:
    """Our own variables are left out, since they may hold secrets: the event's have their place."""
    ours = {name: value for name, value in inherited().items() if not name.startswith("QUIETCAM_")}
    named = {f"QUIETCAM_EVENT_{key.upper()}": _text(value) for key, value in told.items() if key != "details"}
    return ours | {"QUIETCAM_EVENT": named.pop("QUIETCAM_EVENT_EVENT")} | named


def _text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value).replace("\0", "")


def _read(descriptor: int, said: bytes) -> tuple[bytes, bool]:
    """The end of what was said, and whether more may come."""
    for _ in range(_READS):
        try:
            piece = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return said, True
        except OSError:
            return said, False
        if not piece:
            return said, False
        said = (said + piece)[-_KEPT:]
    return said, True


def _wrong(received: str) -> UsageError:
    return UsageError(
        f"`on_event` is a command or a URL that begins with http:// or https://. Received: {received}. "
        "Remedy: name a program with its path, and its arguments behind it."
    )
