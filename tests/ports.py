"""Free ports, for servers that must know their port before they start."""

from __future__ import annotations

import random
import socket
from pathlib import Path

__all__ = ["free_ports"]

_FIRST, _LAST = 20000, 32000
_ENOUGH = 1000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 at which nobody listens, below those that the system assigns.

    A port that the system assigned is free again once it is closed, and the next test that asks, in any process, may
    get it. So these come from a range that the system does not assign.
    """
    last = min(_LAST, int(_RANGE.read_text().split()[0]) - 1) if _RANGE.exists() else _LAST
    if last < _FIRST + _ENOUGH:  # the system assigns these too: a port that is free now must suffice
        last = _LAST
    found: list[int] = []
    chance = random.SystemRandom()
    while len(found) < count:
        port = chance.randint(_FIRST, last)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
