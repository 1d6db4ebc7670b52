"""Checks of the hardware: cameras and their permissions, the Coral and its library, power and heat."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge.cameras.v4l2.devices import HANDED_OVER
from edge.doctor.coral import check_delegate, coral_checks, find_corals
from edge.doctor.machine import Machine
from edge.doctor.virtual_camera import is_loopback
from edge.network.delegates import library_name
from edge.raspberry_pi import CODECS_AND_ISP, THROTTLED_COMMAND, throttled_bits, throttled_now, throttled_since_boot
from quietcam.finding import Finding

__all__ = ["check_cameras", "check_coral", "check_power"]


def check_cameras(machine: Machine) -> list[Finding]:
    """Is there a camera, and may this user open it?"""
    devices = [path for path in machine.glob("/dev/video*") if _captures(machine, path)]
    if not devices:
        return [Finding("cameras", "warning", "no /dev/video* gives pictures", "quietcam run --source synthetic")]
    closed = [path for path in devices if not machine.access(path, os.R_OK | os.W_OK)]
    names = ", ".join(f"/dev/{path.name}{_called(machine, path)}" for path in devices)
    if not closed:
        return [Finding("cameras", "ok", names)]
    new = [path for path in closed if _is_new(path)]
    if new:
        which = " ".join(f"/dev/{path.name}" for path in new)
        return [
            Finding(
                "cameras",
                "warning",
                f"{which} has just appeared; the system does not let users open it yet",
                "quietcam doctor",
            )
        ]
    if "video" not in machine.groups and not machine.is_root:
        return [
            Finding(
                "cameras",
                "error",
                f"{names}: {machine.user} is not in the group video",
                f"sudo usermod -aG video {machine.user}    # then log in again",
            )
        ]
    which = " ".join(f"/dev/{path.name}" for path in closed)
    return [
        Finding(
            "cameras",
            "error",
            f"{which} cannot be opened for reading and writing",
            f"sudo chgrp video {which} && sudo chmod 660 {which}",
        )
    ]


def check_coral(machine: Machine) -> list[Finding]:
    """Does a Coral work on this machine? If all other checks pass, the library is loaded to make sure."""
    packages = ((name, machine.version(name)) for name in ("ai-edge-litert", "tflite-runtime"))
    runtime = next(((name, version) for name, version in packages if version is not None), None)
    findings = coral_checks(
        machine.root,
        runtime=runtime,
        groups=machine.groups,
        is_root=machine.is_root,
        page_size=machine.page_size,
        machine=machine.architecture,
    )
    if find_corals(machine.root) and not any(each.severity == "error" for each in findings):
        findings.append(check_delegate(machine.delegate, library_name()))
    return findings


def check_power(machine: Machine) -> list[Finding]:
    """Have heat or a weak power supply slowed the processor down? That looks like slow code."""
    said = machine.run(THROTTLED_COMMAND)
    findings = []
    if said is None:
        if machine.is_pi:
            findings.append(
                Finding(
                    "power",
                    "warning",
                    "vcgencmd does not answer",
                    "sudo apt install raspi-utils || sudo apt install libraspberrypi-bin",
                )
            )
        else:
            findings.append(Finding("power", "note", "only a Raspberry Pi reports throttling"))
    else:
        try:
            bits = throttled_bits(said)
        except ValueError:
            return [Finding("power", "warning", f"vcgencmd gave an unknown answer: {said.strip()!r}")]
        now, since_boot = throttled_now(bits), throttled_since_boot(bits)
        if "undervoltage" in now + since_boot:
            remedy = "use the official power supply and a short cable, then: sudo reboot && vcgencmd get_throttled"
        else:
            remedy = "put a fan or a heat sink on it, then: sudo reboot && vcgencmd get_throttled"
        if now or since_boot:
            text = ", ".join([f"{each} now" for each in now] + [f"{each} since boot" for each in since_boot])
            findings.append(Finding("power", "error" if now else "warning", text, remedy))
        else:
            findings.append(Finding("power", "ok", "never throttled since boot"))
    return findings


def _is_new(path: Path) -> bool:
    """Whether the device has just appeared, so that udev has not given it to a group yet."""
    node = path.stat()
    return not node.st_mode & 0o066 and time.time() - node.st_ctime < HANDED_OVER


def _captures(machine: Machine, device: Path) -> bool:
    """False for codecs, for the second node of a USB camera, which gives metadata, and for virtual cameras, if sysfs
    shows that.
    """
    if is_loopback(machine, device):
        return False
    name = (machine.text(f"/sys/class/video4linux/{device.name}/name") or "").lower()
    index = machine.text(f"/sys/class/video4linux/{device.name}/index") or "0"
    return index == "0" and not name.startswith(CODECS_AND_ISP)


def _called(machine: Machine, device: Path) -> str:
    name = machine.text(f"/sys/class/video4linux/{device.name}/name")
    return f" ({name})" if name else ""
