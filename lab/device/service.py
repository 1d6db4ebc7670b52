"""The shipped service in a guest: a camera for it, its state as systemd and the page show it, whether frames flow."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from lab.guest import Guest

__all__ = [
    "CAMERA",
    "CONFIG",
    "MODULES",
    "configure",
    "flows",
    "install_camera",
    "killed_for_memory",
    "shown",
    "sink_of",
    "state",
    "status_of",
]

CAMERA = "/dev/video0"
CONFIG = "/etc/quietcam.toml"
MODULES = "/etc/modules-load.d/camera.conf"
"""The file that loads the driver of the kernel's virtual camera at boot."""
PAGE = "http://127.0.0.1:8080"
_SHOWN = "ActiveState,SubState,NRestarts,StatusText,MainPID,Result,ExecMainStatus,MemoryPeak"


def install_camera(guest: Guest, config: str) -> None:
    """A virtual camera from every boot on, and the unit with this configuration, which is enabled and not started."""
    guest.push(b"options vivid n_devs=1 node_types=0x1\n", "/etc/modprobe.d/camera.conf")
    guest.push(b"vivid\n", MODULES)
    configure(guest, config)
    guest.run("modprobe vivid && systemctl daemon-reload && systemctl enable quietcam", limit=120, check=True)


def configure(guest: Guest, config: str) -> None:
    """Write the service's configuration. The virtual camera's picture is clean, so the do-no-harm gate is off: the
    network is at work.
    """
    guest.push(f"{config}gate = false\n".encode(), CONFIG)


def shown(text: str) -> dict[str, str]:
    """What `systemctl show` prints."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def state(guest: Guest) -> dict[str, str]:
    """The unit's state, as `systemctl show` names it."""
    return shown(guest.run(f"systemctl show quietcam -p {_SHOWN}").out)


def status_of(guest: Guest) -> Mapping[str, Any]:
    """What the page's server says of the run; empty if it does not answer."""
    done = guest.run(f"curl -s -m 20 {PAGE}/status.json")
    try:
        return dict(json.loads(done.out))
    except ValueError:
        return {}


def sink_of(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """What is said of the first sink whose name begins so; empty if there is none."""
    return next((each for each in status.get("sinks", []) if each["name"].startswith(kind)), {})


def flows(guest: Guest, kind: str = "", limit: float = 90.0, more: int = 2) -> bool:
    """Whether ``more`` frames come within ``limit`` seconds of the guest's clock, times its patience: into the store of
    a spool or a recording, else through the run.
    """

    def count() -> int | None:
        status = status_of(guest)
        found = sink_of(status, kind).get("stored") if kind else status.get("frames")
        return None if found is None else int(found)

    until = guest.clock() + limit * guest.patience
    before: int | None = None
    while guest.clock() < until:
        now = count()
        if now is not None and (before is None or now < before):  # it is another process
            before = now
        if now is not None and before is not None and now >= before + more:
            return True
        time.sleep(1.0)
    return False


def killed_for_memory(guest: Guest) -> tuple[bool, str]:
    """Whether the kernel ended no process of this boot for memory, and what it says if it did."""
    said = guest.run("journalctl -b -k --no-pager | grep -i 'out of memory'").out.strip()
    return not said, said[-200:]
