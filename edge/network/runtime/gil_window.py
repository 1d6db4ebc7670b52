"""The window in which Python's global lock (GIL) may be held for long without delaying a frame.

The runtime holds the GIL while it loads a model and while it frees its memory: 10 to 160 ms for frames of 640x480 to
1920x1088 on a desktop, nearly all of it spent by the kernel on zeroed pages. It does not hold the GIL while a network
runs, which takes about as long. So a thread that prepares another model waits until a network has just begun to run.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

__all__ = ["background_work", "invoke_begins", "no_more_invokes", "wait_for_invoke"]

_LONGEST = 2.0  # seconds; if no network has run for so long, there is nothing to wait for

_began = threading.Event()
_last = float("-inf")
_waiting = 0
_lock = threading.Lock()


class _Here(threading.local):
    waits = False  # whether this thread works in the background of frames


_here = _Here()


def invoke_begins() -> None:
    """Call this right before a network runs. It is called for every frame, so it must cost nothing."""
    global _last
    _last = time.monotonic()
    if _waiting:
        _began.set()


def no_more_invokes() -> None:
    """Call this when no network will run any more. Threads that wait for one continue."""
    global _last
    _last = float("-inf")
    _began.set()


@contextlib.contextmanager
def background_work() -> Iterator[None]:
    """Mark this thread as one that works in the background of frames: in it, ``wait_for_invoke`` really waits."""
    _here.waits = True
    try:
        yield
    finally:
        _here.waits = False


def wait_for_invoke() -> None:
    """Wait until another thread has just begun to run a network.

    Returns immediately outside of ``background_work``, and if no network has run for two seconds.
    """
    global _waiting
    if not _here.waits:
        return
    with _lock:
        _waiting += 1
    try:
        _began.clear()
        if time.monotonic() - _last <= _LONGEST:
            _began.wait(_LONGEST)
    finally:
        with _lock:
            _waiting -= 1
