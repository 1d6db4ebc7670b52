"""The priority of a thread: work that may wait gives way to the network's."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

__all__ = ["give_way"]


def give_way(steps: int = 10) -> None:
    """Let the calling thread, and those that it starts, get processor time after others. Linux alone has priorities of
    threads; elsewhere nothing happens.

    Args:
        steps: of ``nice``, 1 to 19. Beside a thread of the usual priority that never rests, five leave a quarter of a
            processor, ten a tenth.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()  # Linux: a thread's number is good for what takes a process's
        with contextlib.suppress(OSError):  # a sandbox forbids it: the work is done at the usual priority
            os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + steps))
