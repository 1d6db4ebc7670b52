"""Checks of what is plugged in: cameras and who may use them, the Coral, its library, power and heat."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from edge.doctor.check import Finding, Machine

__all__ = ["check_cameras", "check_coral", "check_delegate", "check_power", "decode_throttled"]

_CORAL_IDS = {("1a6e", "089a"): "not yet initialized", ("18d1", "9302"): "in use or ready"}
_USB3 = 5000.0  # Mbit/s
_DELEGATE = "libedgetpu.so.1"
_LIBRARY_FOLDERS = ("/usr/lib/*/", "/usr/lib/", "/usr/local/lib/", "/lib/*/")
_THROTTLED = {
    0: "undervoltage now",
    1: "clock capped now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "undervoltage since boot",
    17: "clock capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}
"""Bits of `vcgencmd get_throttled`, as Raspberry Pi's documentation lists them."""


def check_cameras(machine: Machine) -> list[Finding]:
    """Devices that can be opened, and the group that may."""
    devices = [path for path in machine.glob("/dev/video*") if _captures(machine, path)]
    if not devices:
        return [Finding("cameras", "warn", "no /dev/video* that captures", "quietcam run --source synthetic")]
    closed = [path for path in devices if not machine.access(path, os.R_OK | os.W_OK)]
    names = ", ".join(f"/dev/{path.name}{_called(machine, path)}" for path in devices)
    if not closed:
        return [Finding("cameras", "ok", names)]
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


def check_delegate(machine: Machine) -> list[Finding]:
    """The Edge TPU's library. The stock build dies with interpreters of today."""
    found = [path for folder in _LIBRARY_FOLDERS for path in machine.glob(f"{folder}{_DELEGATE}*")]
    plugged = bool(_corals(machine)) or bool(machine.glob("/dev/apex_*"))
    install = (
        "download libedgetpu1-std of https://github.com/feranick/libedgetpu/releases for this system, then: "
        "sudo apt install ./libedgetpu1-std_*.deb"
    )
    if not found:
        if plugged:
            return [Finding("delegate", "broken", f"a Coral is plugged in, and {_DELEGATE} is missing", install)]
        return [Finding("delegate", "note", f"no {_DELEGATE}, and no Coral")]
    version = _package_version(machine)
    real = found[0]
    with contextlib.suppress(OSError):
        real = found[0].resolve()
    said = f"{_DELEGATE} ({real.name}{f', package {version}' if version else ''})"
    # Packages are named by the runtime's version: 13, 14 and 15 are the stock builds, 16 the maintained ones.
    if version is not None and version.split(".")[0] in ("12", "13", "14", "15"):
        return [Finding("delegate", "warn", f"{said}: builds that old crash with interpreters of today", install)]
    return [Finding("delegate", "ok", said)]


def check_coral(machine: Machine) -> list[Finding]:
    """A Coral on USB 2 works, at a fraction of its speed."""
    findings = []
    for device, state in _corals(machine):
        speed = float(_attribute(device, "speed") or 0)
        if speed < _USB3:
            findings.append(
                Finding(
                    "coral",
                    "warn",
                    f"on USB 2 ({speed:g} Mbit/s, {device.name}), {state}: several times slower than it could be",
                    "plug it into a blue (USB 3) port with its own cable, then: quietcam doctor",
                )
            )
        else:
            findings.append(Finding("coral", "ok", f"USB 3 ({speed:g} Mbit/s, {device.name}), {state}"))
    apex = machine.glob("/dev/apex_*")
    findings += [Finding("coral", "ok", f"PCIe, /dev/{path.name}") for path in apex]
    return findings or [Finding("coral", "note", "none is plugged in")]


def check_power(machine: Machine) -> list[Finding]:
    """Throttling and undervoltage, which look like slow code."""
    said = machine.run(["vcgencmd", "get_throttled"])
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
            bits = decode_throttled(said)
        except ValueError:
            return [Finding("power", "warn", f"vcgencmd said {said.strip()!r}")]
        now = [text for text in bits if text.endswith("now")]
        if any("undervoltage" in text for text in bits):
            mend = "use the official power supply and a short cable, then: sudo reboot && vcgencmd get_throttled"
        else:
            mend = "put a fan or a heat sink on it, then: sudo reboot && vcgencmd get_throttled"
        if bits:
            findings.append(Finding("power", "broken" if now else "warn", ", ".join(bits), mend))
        else:
            findings.append(Finding("power", "ok", "never throttled since boot"))
    return findings


def decode_throttled(text: str) -> list[str]:
    """``throttled=0x50005`` in words.

    Raises:
        ValueError: it is not that.
    """
    _, equals, number = text.strip().partition("=")
    if not equals:
        raise ValueError(text)
    bits = int(number, 16)
    return [meaning for bit, meaning in _THROTTLED.items() if bits >> bit & 1]


def _captures(machine: Machine, device: Path) -> bool:
    """Leaves out codecs and the second, metadata node of USB cameras, as far as sysfs tells."""
    name = (machine.text(f"/sys/class/video4linux/{device.name}/name") or "").lower()
    index = machine.text(f"/sys/class/video4linux/{device.name}/index") or "0"
    return index == "0" and not name.startswith(("bcm2835-codec", "bcm2835-isp", "rpivid", "rpi-hevc", "pispbe"))


def _called(machine: Machine, device: Path) -> str:
    name = machine.text(f"/sys/class/video4linux/{device.name}/name")
    return f" ({name})" if name else ""


def _corals(machine: Machine) -> list[tuple[Path, str]]:
    found = []
    for device in machine.glob("/sys/bus/usb/devices/*"):
        state = _CORAL_IDS.get((_attribute(device, "idVendor"), _attribute(device, "idProduct")))
        if state is not None:
            found.append((device, state))
    return found


def _attribute(device: Path, name: str) -> str:
    try:
        return (device / name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _package_version(machine: Machine) -> str | None:
    for package in ("libedgetpu1-std", "libedgetpu1-max"):
        said = machine.run(["dpkg-query", "-W", "-f=${Version}", package])
        if said:
            return said.strip()
    return None
