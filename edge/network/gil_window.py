"""The moment at which the network begins to run: what then holds Python's lock for long holds up no frame.

The runtime loads a model, and gives its memory back, with that lock held: 10 to 160 ms for frames of 640x480 to
1920x1088 on a desktop, nearly all of it the kernel's, which hands out zeroed pages. It runs a network without the lock,
for about as long. So a thread that makes another model ready waits until one has just begun to run.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

__all__ = ["background_work", "invoke_begins", "no_more_invokes", "wait_for_invoke"]

_LONGEST = 2.0  # seconds: where none ran for so long, there is none to wait for

_began = threading.Event()
_last = float("-inf")
_waiting = 0
_lock = threading.Lock()
_here = threading.local()


def invoke_begins() -> None:
    """A network begins to run. Called right before that, every time: it must cost nothing."""
    global _last
    _last = time.monotonic()
    if _waiting:
        _began.set()


def no_more_invokes() -> None:
    """No network runs any more: whoever waits for one goes on."""
    global _last
    _last = float("-inf")
    _began.set()


@contextlib.contextmanager
def background_work() -> Iterator[None]:
    """While the block runs, ``wait_for_invoke`` does wait in this thread: frames run in another one."""
    _here.waits = True
    try:
        yield
    finally:
        _here.waits = False


def wait_for_invoke() -> None:
    """Return when another thread has just begun to run a network; at once where none does, or it does not matter."""
    global _waiting
    if not getattr(_here, "waits", False):
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
