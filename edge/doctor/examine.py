"""The list of all checks, and the function that runs them."""

from __future__ import annotations

from edge.doctor.environment import (
    check_camera_library,
    check_numpy,
    check_opencv,
    check_processor,
    check_python,
    check_runtime,
    check_web,
)
from edge.doctor.hardware import check_cameras, check_coral, check_power
from edge.doctor.machine import Machine
from edge.doctor.models import check_models
from edge.doctor.system import check_clock, check_disk, check_memory
from edge.doctor.virtual_camera import check_virtual_camera
from quietcam.finding import Finding

__all__ = ["CHECKS", "Finding", "Machine", "examine"]

CHECKS = (
    check_python,
    check_processor,
    check_runtime,
    check_numpy,
    check_opencv,
    check_web,
    check_camera_library,
    check_cameras,
    check_virtual_camera,
    check_coral,
    check_power,
    check_memory,
    check_disk,
    check_clock,
    check_models,
)


def examine(machine: Machine) -> list[Finding]:
    """Run all checks, in the order of ``CHECKS``. A check that fails itself becomes a finding, too."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check(machine)
        except Exception as error:  # noqa: BLE001  a check that fails must not hide the other findings
            name = check.__name__.removeprefix("check_").replace("_", " ")
            findings.append(Finding(name, "warning", f"this check failed: {type(error).__name__}: {error}"))
    return findings
