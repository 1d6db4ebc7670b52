"""Checks of the system: memory, disk, clock."""

from __future__ import annotations

from pathlib import Path

from edge.doctor.machine import Machine
from quietcam.finding import Finding

__all__ = ["check_clock", "check_disk", "check_memory"]

_LEAST_MEMORY = 200 << 20  # bytes: what a run at 640x480 takes, and some reserve
_FULL, _NEARLY_FULL = 100 << 20, 1 << 30


def check_memory(machine: Machine) -> list[Finding]:
    """Is there enough free memory now? (proc(5), MemAvailable)"""
    lines = (machine.text("/proc/meminfo") or "").splitlines()
    amounts = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.endswith("kB")}
    available = amounts.get("MemAvailable")
    if available is None:
        return [Finding("memory", "note", "unknown")]
    if available < _LEAST_MEMORY:
        return [
            Finding(
                "memory",
                "warning",
                f"{available >> 20} MiB available",
                "sudo systemctl set-default multi-user.target && sudo reboot",
            )
        ]
    return [Finding("memory", "ok", f"{available >> 20} MiB available")]


def check_disk(machine: Machine) -> list[Finding]:
    """Is there room for the service's spool, and can the disk be written to at all?"""
    place = machine.spool
    while not place.exists() and place != place.parent:
        place = place.parent
    if _read_only(machine, place):
        return [
            Finding(
                "disk",
                "error",
                f"{place} is mounted read-only, which is how a worn-out card ends",
                f"sudo mount -o remount,rw {_mount(machine, place)}; dmesg | tail",
            )
        ]
    free = machine.free(place)
    said = f"{free / 10**9:.1f} GB free at {place}"
    if free < _FULL:
        return [
            Finding(
                "disk",
                "error",
                said,
                f"sudo journalctl --vacuum-size=50M; sudo apt clean; du -xh {place} | sort -h | tail",
            )
        ]
    if free < _NEARLY_FULL:
        return [Finding("disk", "warning", said, f"du -xh {place} | sort -h | tail")]
    return [Finding("disk", "ok", said)]


def check_clock(machine: Machine) -> list[Finding]:
    """Does NTP set the clock? File names in a spool contain the time."""
    if machine.root.joinpath("run/systemd/timesync/synchronized").exists():
        return [Finding("clock", "ok", "kept by NTP")]
    said = machine.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if said is None:
        return [Finding("clock", "note", "timedatectl does not answer")]
    if said.strip() == "yes":
        return [Finding("clock", "ok", "kept by NTP")]
    return [
        Finding(
            "clock", "warning", "not kept by NTP: times in file names may be wrong", "sudo timedatectl set-ntp true"
        )
    ]


def _read_only(machine: Machine, place: Path) -> bool:
    mount = _mount(machine, place)
    for line in (machine.text("/proc/mounts") or "").splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[1] == mount:
            return "ro" in fields[3].split(",")
    return False


def _mount(machine: Machine, place: Path) -> str:
    """The mount point of the disk that holds ``place``."""
    points = [line.split()[1] for line in (machine.text("/proc/mounts") or "").splitlines() if len(line.split()) > 3]
    under = [point for point in points if place.is_relative_to(point)]
    return max(under, key=len, default="/")
