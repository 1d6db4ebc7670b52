"""Descriptors, threads and child processes of this process, to find tests that leave one behind."""

from __future__ import annotations

import threading
from pathlib import Path

__all__ = ["children", "descriptors", "gone", "held", "nothing_more"]


def held() -> tuple[int, set[threading.Thread], set[int]]:
    """The descriptors, threads and child processes of this process."""
    return descriptors(), set(threading.enumerate()), children()


def nothing_more(before: tuple[int, set[threading.Thread], set[int]]) -> bool:
    """Whether none has been added. Those that another test has left may end meanwhile."""
    files, threads, processes = held()
    return files <= before[0] and threads <= before[1] and processes <= before[2]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children(of: int | str = "self") -> set[int]:
    """The child processes, without the one that shows the last output of native code, which stays."""
    found = {
        int(pid)
        for each in Path(f"/proc/{of}/task").glob("*/children")
        for pid in each.read_text(encoding="ascii").split()
    }
    return {pid for pid in found if not _says(pid).startswith(b"/bin/sh")}


def _says(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def gone(pid: int) -> bool:
    """Whether the process does not exist, or is dead and nobody has waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
