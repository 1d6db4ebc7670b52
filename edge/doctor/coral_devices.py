"""The Edge TPUs that the kernel sees, and the library that drives them: read from a root folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["GOOGLES_BUILD", "USB_IDS", "Coral", "Library", "find_corals", "find_library", "read_text"]

GOOGLES_BUILD = (2, 5)  # google-coral/edgetpu #731: the stock build needs TensorFlow 2.5's interpreter (read)
"""The TensorFlow of Google's own builds. No other build has it."""

# libedgetpu's debian/edgetpu-accelerator.rules: before and after the firmware is loaded (read).
USB_IDS = {("1a6e", "089a"): False, ("18d1", "9302"): True}
# `lspci -nn | grep 089a` in Coral's M.2 guide (read).
_PCI_ID = ("0x1ac1", "0x089a")


@dataclass(frozen=True)
class Coral:
    """An Edge TPU that the kernel sees.

    Attributes:
        bus: ``usb`` or ``pci``.
        place: the kernel's name for it, such as ``2-1`` or ``0000:01:00.0``.
        speed: speed of USB in Mbit/s; None on PCIe, or if the kernel does not say.
        node: the device file, such as ``/dev/bus/usb/002/003`` or ``/dev/apex_0``; None if it has none.
        started: whether the firmware of a USB device is loaded. It then has Google's id, before that Global Unichip's.
    """

    bus: Literal["usb", "pci"]
    place: str
    speed: int | None = None
    node: str | None = None
    started: bool = True


@dataclass(frozen=True)
class Library:
    """An installed libedgetpu: its file, and its Debian package and version if dpkg knows them."""

    path: str
    package: str | None = None
    version: str | None = None

    @property
    def tensorflow(self) -> tuple[int, int] | None:
        """The TensorFlow that it was built against: ``16.0tf2.19.1-1`` is (2, 19), Google's ``16.0`` is (2, 5)."""
        if self.version is None:
            return None
        found = re.search(r"tf(\d+)\.(\d+)", self.version)
        if found:
            return int(found[1]), int(found[2])
        return GOOGLES_BUILD if re.fullmatch(r"1[0-6]\.\d+(-\d+)?", self.version) else None


def find_corals(root: Path = Path("/")) -> list[Coral]:
    """The Edge TPUs that the kernel sees, USB first, each in the order of its place."""
    found = []
    for folder in _folders(root / "sys/bus/usb/devices"):
        key = (read_text(folder / "idVendor"), read_text(folder / "idProduct"))
        if key in USB_IDS:
            speed = read_text(folder / "speed")
            numbers = read_text(folder / "busnum"), read_text(folder / "devnum")
            node = "/dev/bus/usb/{:03d}/{:03d}".format(*map(int, numbers)) if all(map(str.isdigit, numbers)) else None
            found.append(
                Coral("usb", folder.name, int(float(speed)) if _is_number(speed) else None, node, USB_IDS[key])
            )
    cards = [
        folder
        for folder in _folders(root / "sys/bus/pci/devices")
        if (read_text(folder / "vendor"), read_text(folder / "device")) == _PCI_ID
    ]
    nodes = {}
    for folder in _folders(root / "sys/class/apex"):  # links to .../0000:01:00.0/apex/apex_0
        nodes[(folder / "device").resolve().name] = f"/dev/{folder.name}"
    return found + [Coral("pci", folder.name, node=nodes.get(folder.name)) for folder in cards]


def find_library(root: Path = Path("/")) -> Library | None:
    """The libedgetpu that the loader would use, with its Debian package and version."""
    places = ["usr/local/lib", *(f"usr/lib/{each}-linux-{abi}" for each, abi in _TRIPLETS), "usr/lib", "lib"]
    path = next((f"/{each}/libedgetpu.so.1" for each in places if (root / each / "libedgetpu.so.1").exists()), None)
    if path is None:
        return None
    package, version = None, None
    if not path.startswith("/usr/local"):
        for block in read_text(root / "var/lib/dpkg/status").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
            name = fields.get("Package", "")
            if name.startswith("libedgetpu1") and fields.get("Status", "").endswith(" installed"):
                package, version = name, fields.get("Version")
    return Library(path, package, version)


_TRIPLETS = (("aarch64", "gnu"), ("x86_64", "gnu"), ("arm", "gnueabihf"))


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(place.iterdir())
    except OSError:
        return []


def read_text(path: Path) -> str:
    """The text of a small file; empty if it does not exist or may not be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"\d+(\.\d+)?", text))
