"""Keeping native libraries' chatter from the reader."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator

__all__ = ["chatter_caught", "chatter_heard", "stderr_lock"]

stderr_lock = threading.RLock()
"""Held while the error stream is turned away: who has something to say from another thread waits for it."""


@contextlib.contextmanager
def chatter_caught(*, show: bool = True) -> Iterator[None]:
    """Catch what C and C++ libraries write to the standard error stream; show it only if the block fails.

    Works on the file descriptor, which all threads share, so that what Python knows nothing of is caught too; one
    thread at a time. Progress must not be shown inside.

    Args:
        show: False where the caller tells of a failure in words of its own; `quietcam --debug` shows it all the same.
    """
    with stderr_lock, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            if show or os.environ.get("QUIETCAM_DEBUG"):
                caught.seek(0)
                os.write(saved, caught.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


@contextlib.contextmanager
def chatter_heard(ours: Callable[[str], bool]) -> Iterator[list[str]]:
    """Hear what C and C++ libraries write to the standard error stream: for warnings that they give in no other way.

    Works on the file descriptor, as ``chatter_caught``. What others write meanwhile reaches the reader afterwards.

    Args:
        ours: whether a line is meant for the caller.

    Yields:
        The list that has these lines once the block has ended.
    """
    heard: list[str] = []
    with stderr_lock, tempfile.TemporaryFile() as caught:
        _flush()
        try:
            saved = os.dup(2)
        except OSError:  # closed, as a daemon may do it: nobody would hear anything
            yield heard
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield heard
        finally:
            _flush()
            os.dup2(saved, 2)
            if caught.seek(0, os.SEEK_END):
                caught.seek(0)
                lines = caught.read().splitlines(keepends=True)
                heard += [
                    line.decode(errors="replace").strip() for line in lines if ours(line.decode(errors="replace"))
                ]
                others = b"".join(line for line in lines if not ours(line.decode(errors="replace")))
                with contextlib.suppress(OSError):
                    os.write(saved, others)
            os.close(saved)


def _flush() -> None:
    if sys.stderr is not None:
        with contextlib.suppress(ValueError, OSError):
            sys.stderr.flush()
