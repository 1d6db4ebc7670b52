"""How much memory a child process may take: a share of the machine's, or of its control group's limit."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["memory_limit"]

_LIMITS = 256 << 20, 2 << 30  # bytes: the least and the most that a child may take
_OWN = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def memory_limit() -> int:
    """The default limit of a child's memory in bytes.

    Half of the machine's memory or of the limit of this process's control group (``MemoryMax`` of a unit, the limit of
    a container), whichever is less; at least 256 MiB and at most 2 GiB.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    least, most = _LIMITS
    return max(least, min(min([machine, *_allowed()]) // 2, most))


def _allowed() -> list[int]:
    """The limits of the control group and of those around it (cgroups(7), version 2), where they have any."""
    found: list[int] = []
    with contextlib.suppress(OSError, UnicodeDecodeError):
        own = [line.removeprefix("0::/") for line in _OWN.read_text().splitlines() if line.startswith("0::/")]
        for group in own:
            inner = _GROUPS / group
            for place in (inner, *inner.parents[: len(Path(group).parts)]):
                with contextlib.suppress(OSError, ValueError):  # the root has no limit, and "max" is no number
                    found.append(int((place / "memory.max").read_text()))
    return found
