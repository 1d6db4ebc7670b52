"""How much memory a child process may take: a share of the machine's, or of what this process's unit may take."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["memory_limit"]

_LIMITS = 256 << 20, 2 << 30  # bytes: what a child may always take, and may take at most
_OWN = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def memory_limit() -> int:
    """What a child may take where nobody says, in bytes: half of the machine's memory, or of what the control group of
    this process may take (``MemoryMax`` of a unit, the limit of a container), and 256 MiB to 2 GiB.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    least, most = _LIMITS
    return max(least, min(min([machine, *_allowed()]) // 2, most))


def _allowed() -> list[int]:
    """The limits of the control group and of those around it (cgroups(7), version 2), as far as there are any."""
    found: list[int] = []
    with contextlib.suppress(OSError, UnicodeDecodeError):
        own = [line.removeprefix("0::/") for line in _OWN.read_text().splitlines() if line.startswith("0::/")]
        for group in own:
            inner = _GROUPS / group
            for place in (inner, *inner.parents[: len(Path(group).parts)]):
                with contextlib.suppress(OSError, ValueError):  # the root has none; "max" is no number
                    found.append(int((place / "memory.max").read_text()))
    return found
