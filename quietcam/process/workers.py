"""Work that is done in several processes of this program at once, in order, and stops whole on Ctrl-C."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

__all__ = ["in_processes", "interrupts_held"]

Job = TypeVar("Job")
Result = TypeVar("Result")

_MOST = 8


def in_processes(work: Callable[[Job], Result], jobs: Sequence[Job], *, at_once: int = 1) -> Iterator[Result]:
    """What ``work`` gives for each of the jobs, in their order. What has begun is finished when the caller stops.

    Args:
        work: a function of a module, so that another process finds it.
        at_once: jobs that a process is handed at once.
    """
    # Fresh processes: the parent may hold threads, which do not survive a fork.
    workers = ProcessPoolExecutor(min(_MOST, os.cpu_count() or 1), multiprocessing.get_context("spawn"))
    try:
        with interrupts_held():
            results = workers.map(work, jobs, chunksize=at_once)
        yield from results
    finally:
        workers.shutdown(cancel_futures=True)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back. Processes that start meanwhile never get it: this process gets it later and ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
