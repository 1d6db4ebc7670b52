"""The operating systems that a card can be prepared for, and what pip must know about each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quietcam.errors import UsageError

__all__ = ["SYSTEMS", "System", "find_system"]

CLOUD_INIT, FIRSTRUN = "cloud-init", "firstrun"


@dataclass(frozen=True)
class System:
    """An operating system on one kind of processor.

    Attributes:
        python: the version of its python3, as ``3.13``.
        machine: the processor as in tags of wheels, as ``aarch64``.
        architecture: the processor as ``dpkg --print-architecture`` names it.
        glibc: the second number of its C library's version, as 41 of 2.41.
        extra: the extra of quietcam that runs there.
        first_boot: what runs at first boot: ``cloud-init`` or ``firstrun``.
        limits: requirements that hold packages back, for the sake of the system's own.
    """

    name: str
    python: str
    machine: str
    architecture: str
    glibc: int
    extra: str
    first_boot: str
    limits: tuple[str, ...] = ()

    def platforms(self) -> Iterator[str]:
        """The tags of wheels that run there, the best first."""
        for minor in range(self.glibc, 16, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
        yield f"manylinux2014_{self.machine}"
        yield f"linux_{self.machine}"

    def markers(self) -> dict[str, str]:
        """The values of environment markers there (PEP 508): ``python_version``, ``platform_machine`` and others."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


# The picamera2 of Bookworm was built for numpy 1, which later packages of OpenCV refuse.
_NUMPY_1 = ("numpy<2", "opencv-python-headless<4.12")

SYSTEMS = {
    system.name: system
    for system in (
        System("trixie-arm64", "3.13", "aarch64", "arm64", 41, "edge", CLOUD_INIT),
        System("bookworm-arm64", "3.11", "aarch64", "arm64", 36, "edge", FIRSTRUN, _NUMPY_1),
        System("bookworm-armv7", "3.11", "armv7l", "armhf", 36, "edge-legacy", FIRSTRUN),
        System("trixie-amd64", "3.13", "x86_64", "amd64", 41, "edge", CLOUD_INIT),  # a PC, or a virtual machine
    )
}


def find_system(name: str) -> System:
    """The system of this name.

    Raises:
        UsageError: there is none.
    """
    system = SYSTEMS.get(name)
    if system is None:
        raise UsageError(f"`for` is one of {', '.join(SYSTEMS)}. Received: {name}.")
    return system
