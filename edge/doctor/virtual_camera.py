"""The check of v4l2loopback, the kernel's module that a virtual camera needs."""

from __future__ import annotations

import os
from pathlib import Path

from edge.doctor.machine import Machine
from edge.sinks.virtual_camera.device import free_number, load_command
from quietcam.finding import Finding

__all__ = ["check_virtual_camera", "is_loopback"]

_INSTALL = 'sudo apt install v4l2loopback-dkms "linux-headers-$(uname -r)"'
_NAME = "virtual camera"


def check_virtual_camera(machine: Machine) -> list[Finding]:
    """Is there a device of v4l2loopback for the sink ``/dev/video10``? A note says how to get one: few need it."""
    devices = [path for path in machine.glob("/dev/video*") if is_loopback(machine, path)]
    if not devices:
        return [_missing(machine)]
    closed = [path for path in devices if not machine.access(path, os.R_OK | os.W_OK)]
    if not closed:
        return [Finding(_NAME, "ok", f"{', '.join(f'/dev/{path.name}' for path in devices)} (v4l2loopback)")]
    which = " ".join(f"/dev/{path.name}" for path in closed)
    remedy = (
        f"sudo chgrp video {which} && sudo chmod 660 {which}"
        if "video" in machine.groups
        else f"sudo usermod -aG video {machine.user}    # then log in again"
    )
    return [Finding(_NAME, "warning", f"{which}: {machine.user} may not write to it", remedy)]


def is_loopback(machine: Machine, device: Path) -> bool:
    """Whether sysfs shows that a device belongs to v4l2loopback: no other driver limits its openers there."""
    return machine.text(f"/sys/class/video4linux/{device.name}/max_openers") is not None


def _missing(machine: Machine) -> Finding:
    load = load_command(free_number(machine.glob("/dev/video*")))
    if machine.text("/sys/module/v4l2loopback/initstate") is not None:
        remedy = f"sudo modprobe -r v4l2loopback && {load}"
        return Finding(_NAME, "warning", "the module v4l2loopback is loaded, and has no device", remedy)
    kernel = machine.text("/proc/sys/kernel/osrelease") or ""
    if "/v4l2loopback.ko" in (machine.text(f"/lib/modules/{kernel}/modules.dep") or ""):
        return Finding(_NAME, "note", "none; the module v4l2loopback is installed, but not loaded", load)
    found = "none; the module v4l2loopback is not installed for this kernel"
    return Finding(_NAME, "note", found, f"{_INSTALL} && {load}")
