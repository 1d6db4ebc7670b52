"""Checks of what is plugged in: cameras and who may use them, the Coral and its library, power and heat."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge.cameras.v4l2.devices import HANDED_OVER
from edge.doctor.check import Finding, Level, Machine
from edge.doctor.coral import State, check_delegate, coral_checks, find_corals
from edge.network.delegates import library_name
from edge.raspberry_pi import CODECS_AND_ISP, THROTTLED_COMMAND, throttled_bits, throttled_now, throttled_since_boot

__all__ = ["check_cameras", "check_coral", "check_power"]


def check_cameras(machine: Machine) -> list[Finding]:
    """Devices that can be opened, and the group that may."""
    devices = [path for path in machine.glob("/dev/video*") if _captures(machine, path)]
    if not devices:
        return [Finding("cameras", "warn", "no /dev/video* that captures", "quietcam run --source synthetic")]
    closed = [path for path in devices if not machine.access(path, os.R_OK | os.W_OK)]
    names = ", ".join(f"/dev/{path.name}{_called(machine, path)}" for path in devices)
    if not closed:
        return [Finding("cameras", "ok", names)]
    new = [path for path in closed if _is_new(path)]
    if new:
        which = " ".join(f"/dev/{path.name}" for path in new)
        return [Finding("cameras", "warn", f"{which} has just appeared; the system hands it over", "quietcam doctor")]
    if "video" not in machine.groups and not machine.is_root:
        return [
            Finding(
                "cameras",
                "broken",
                f"{names}: {machine.user} is not in the group video",
                f"sudo usermod -aG video {machine.user}    # then log in again",
            )
        ]
    which = " ".join(f"/dev/{path.name}" for path in closed)
    return [
        Finding(
            "cameras",
            "broken",
            f"{which} cannot be opened for reading and writing",
            f"sudo chgrp video {which} && sudo chmod 660 {which}",
        )
    ]


def check_coral(machine: Machine) -> list[Finding]:
    """All between this machine and a Coral; where nothing is wrong so far, whether its library really loads."""
    packages = ((name, machine.version(name)) for name in ("ai-edge-litert", "tflite-runtime"))
    runtime = next(((name, version) for name, version in packages if version is not None), None)
    checks = coral_checks(
        machine.root,
        runtime=runtime,
        groups=machine.groups,
        is_root=machine.is_root,
        page_size=machine.page_size,
        machine=machine.architecture,
    )
    if find_corals(machine.root) and not any(each.state == "error" for each in checks):
        checks.append(check_delegate(machine.delegate, library_name()))
    # Who has no Coral has nothing to mend.
    return [
        Finding(each.name, _LEVELS[each.state], each.found, each.remedy if each.state != "absent" else None)
        for each in checks
    ]


_LEVELS: dict[State, Level] = {"ok": "ok", "warning": "warn", "error": "broken", "absent": "note"}


def check_power(machine: Machine) -> list[Finding]:
    """Throttling and undervoltage, which look like slow code."""
    said = machine.run(THROTTLED_COMMAND)
    findings = []
    if said is None:
        if machine.is_pi:
            findings.append(
                Finding(
                    "power",
                    "warn",
                    "vcgencmd cannot be asked",
                    "sudo apt install raspi-utils || sudo apt install libraspberrypi-bin",
                )
            )
        else:
            findings.append(Finding("power", "note", "only a Raspberry Pi tells of throttling"))
    else:
        try:
            bits = throttled_bits(said)
        except ValueError:
            return [Finding("power", "warn", f"vcgencmd said {said.strip()!r}")]
        now, since_boot = throttled_now(bits), throttled_since_boot(bits)
        if "undervoltage" in now + since_boot:
            mend = "use the official power supply and a short cable, then: sudo reboot && vcgencmd get_throttled"
        else:
            mend = "put a fan or a heat sink on it, then: sudo reboot && vcgencmd get_throttled"
        if now or since_boot:
            text = ", ".join([f"{each} now" for each in now] + [f"{each} since boot" for each in since_boot])
            findings.append(Finding("power", "broken" if now else "warn", text, mend))
        else:
            findings.append(Finding("power", "ok", "never throttled since boot"))
    return findings


def _is_new(path: Path) -> bool:
    """A device that is the system's alone until udev gives it to a group."""
    node = path.stat()
    return not node.st_mode & 0o066 and time.time() - node.st_ctime < HANDED_OVER


def _captures(machine: Machine, device: Path) -> bool:
    """Leaves out codecs and the second, metadata node of USB cameras, as far as sysfs tells."""
    name = (machine.text(f"/sys/class/video4linux/{device.name}/name") or "").lower()
    index = machine.text(f"/sys/class/video4linux/{device.name}/index") or "0"
    return index == "0" and not name.startswith(CODECS_AND_ISP)


def _called(machine: Machine, device: Path) -> str:
    name = machine.text(f"/sys/class/video4linux/{device.name}/name")
    return f" ({name})" if name else ""
