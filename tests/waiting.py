"""Waits for another thread or process, on a machine that may be busy."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

__all__ = ["WAIT", "ended", "until"]

WAIT = 300.0
"""Seconds. Only a guard against endless waits: the result of a test never depends on how long something takes."""


def until(holds: Callable[[], object], why: str | Callable[[], object] = "it never came to that") -> None:
    """Wait until ``holds`` returns true. If it never does, the error contains ``why``."""
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end, why() if callable(why) else why
        time.sleep(0.005)


def ended(what: threading.Thread | subprocess.Popen[str]) -> str:
    """Wait for the end of a thread or of a process; what the process said on its standard error stream."""
    if isinstance(what, threading.Thread):
        what.join(WAIT)
        assert not what.is_alive(), f"{what.name} never ends"
        return ""
    try:
        return what.communicate(timeout=WAIT)[1]
    finally:
        what.kill()
