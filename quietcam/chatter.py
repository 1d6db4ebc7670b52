"""Keeping native libraries' chatter from the reader."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

__all__ = ["chatter_caught", "stderr_lock"]

stderr_lock = threading.RLock()
"""Held while the error stream is turned away: who has something to say from another thread waits for it."""


@contextlib.contextmanager
def chatter_caught() -> Iterator[None]:
    """Catch what C and C++ libraries write to the standard error stream; show it only if the block fails.

    Works on the file descriptor, which all threads share, so that what Python knows nothing of is caught too; one
    thread at a time. Progress must not be shown inside.
    """
    with stderr_lock, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            caught.seek(0)
            os.write(saved, caught.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
