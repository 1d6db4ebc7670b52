"""Checks of a Coral on this machine: library, matching versions, permissions, bus, kernel pages.

Every check is a pure function of a root folder (``/`` on a device, a fake one in tests) and plain values. Each check
names the source of its rule. None of them was tried on a real Coral.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge.child.process import ChildError
from edge.doctor.coral_devices import (
    GOOGLES_BUILD,
    USB_IDS,
    Coral,
    Library,
    find_corals,
    find_library,
    read_text,
)
from edge.raspberry_pi import board_name
from quietcam.errors import QuietcamError
from quietcam.finding import Finding

__all__ = [
    "Coral",
    "Library",
    "check_delegate",
    "check_devices",
    "check_library",
    "check_pages",
    "check_pcie",
    "check_permission",
    "check_usb_speed",
    "coral_checks",
    "find_corals",
    "find_library",
    "install_command",
]

_LAST_WITH_GOOGLES = (2, 11)  # google-coral/edgetpu #812: from 2.12 on it ends in a segmentation fault (read)
# ai-edge-litert 2 with 16.0tf2.19.1: in jiteshsaini/model_garden's installer, with the note that a mismatched pair
# crashes when a model loads (read).
_FIRST_WITH_LITERT = (2, 19)

_RELEASES = "https://github.com/feranick/libedgetpu/releases"
_BUILD = "libedgetpu1-std_16.0tf2.19.1-1"
_INSTALL = (
    f"take {_BUILD} for your Debian and architecture from {_RELEASES}, then: sudo apt install ./libedgetpu1-std_*.deb"
)
# What those releases hold packages for (read in others' installers).
_SYSTEMS = {
    "bullseye": "bullseye",
    "bookworm": "bookworm",
    "trixie": "trixie",
    "jammy": "ubuntu22.04",
    "noble": "ubuntu24.04",
}
_ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64", "armv7l": "armhf"}
_USB3_LEAST = 5000  # Mbit/s


def coral_checks(
    root: Path = Path("/"),
    *,
    runtime: tuple[str, str] | None,
    groups: Iterable[str] = (),
    is_root: bool = False,
    page_size: int = 4096,
    machine: str | None = None,
) -> list[Finding]:
    """Findings of all checks that apply to this machine, in the order in which to repair them.

    Args:
        root: the folder that holds ``sys``, ``dev``, ``etc``, ``usr``, ``var`` and ``proc``.
        runtime: package and version of the interpreter, as ``("ai-edge-litert", "2.3.0")``; None if none is installed.
        groups: names of the groups that the process belongs to.
        is_root: whether the process may open every device, whatever its groups.
        page_size: size of the kernel's memory pages in bytes (``os.sysconf("SC_PAGE_SIZE")``).
        machine: architecture of the processor, such as ``aarch64``. Defaults to this machine's.
    """
    corals = find_corals(root)
    library = find_library(root)
    findings = [check_devices(corals)]
    if not corals and library is None:
        return findings
    findings.append(check_library(library, runtime, install_command(root, machine or platform.machine())))
    if corals:
        findings.append(check_permission(corals, root, groups, is_root))
    findings += check_usb_speed(corals)
    if any(each.bus == "pci" for each in corals):
        findings += [check_pcie(corals, root), check_pages(root, page_size)]
    return findings


def check_devices(corals: Sequence[Coral]) -> Finding:
    """Is there an Edge TPU at all? A USB device that has not been used since it was plugged in is fine too."""
    name = "Coral"
    if not corals:
        return Finding(name, "note", "no Edge TPU on USB or PCIe")
    idle = " (not used since it was plugged in)"
    return Finding(name, "ok", ", ".join(f"{each.bus} {each.place}{'' if each.started else idle}" for each in corals))


def install_command(root: Path, machine: str) -> str:
    """Instructions to install a libedgetpu that works with LiteRT: a command if this system has a package."""
    named = re.search(r'^VERSION_CODENAME="?(\w+)', read_text(root / "etc/os-release"), re.MULTILINE)
    system, architecture = _SYSTEMS.get(named[1] if named else ""), _ARCHITECTURES.get(machine)
    if system is None or architecture is None:
        return _INSTALL
    file = f"{_BUILD}.{system}_{architecture}.deb"
    return f"curl -fLO {_RELEASES}/download/16.0TF2.19.1-1/{file} && sudo apt install ./{file}"


def check_library(library: Library | None, runtime: tuple[str, str] | None, install: str = _INSTALL) -> Finding:
    """Is libedgetpu installed, in a build that does not crash this interpreter? ``install`` says how to get one.

    Google's builds (16.0 and older) were made against TensorFlow 2.5. With tflite-runtime 2.12 and newer, and so with
    LiteRT, a model ends in a segmentation fault (google-coral/edgetpu #812, #821; tensorflow #62371: read). The
    maintained builds name their TensorFlow in the version.
    """
    name = "libedgetpu"
    if library is None:
        return Finding(name, "error", "libedgetpu.so.1 is not installed", install)
    found = f"{library.package or library.path} {library.version or 'of unknown version'}"
    if runtime is None:
        return Finding(name, "error", f"{found}, and no interpreter", "pip install 'quietcam[edge]'")
    package, version = runtime
    pair = f"{found} with {package} {version}"
    built = library.tensorflow
    if built is None:
        return Finding(name, "warning", f"{pair}: which TensorFlow it was built against is not known", install)
    is_litert = package == "ai-edge-litert"
    ours = _FIRST_WITH_LITERT if is_litert else _version(version)
    if built == GOOGLES_BUILD and (is_litert or ours > _LAST_WITH_GOOGLES):
        return Finding(name, "error", f"{pair}: Google's build, which ends in a segmentation fault there", install)
    if is_litert:
        if built < _FIRST_WITH_LITERT:
            return Finding(name, "warning", f"{pair}: built against an older TensorFlow; it may crash", install)
        return Finding(
            name, "ok", f"{pair}: others report that such a pair works; it has not been tried by this project"
        )
    if built not in (ours, GOOGLES_BUILD):
        remedy = f"take the build closest to TensorFlow {ours[0]}.{ours[1]} from {_RELEASES}"
        return Finding(name, "warning", f"{pair}: built against TensorFlow {built[0]}.{built[1]}; it may crash", remedy)
    return Finding(name, "ok", pair)


def check_permission(
    corals: Sequence[Coral], root: Path = Path("/"), groups: Iterable[str] = (), is_root: bool = False
) -> Finding:
    """Do udev's rules give the devices to a group of this process?

    A USB Coral changes its USB id when its firmware is loaded, so the rules must name both ids: with only one it
    works until it is plugged in again.
    """
    name = "Coral permission"
    if is_root:
        return Finding(name, "ok", "runs as root, which may open every device")
    rules = _udev_rules(root)
    mine = set(groups)
    for each in corals:
        wanted = _USB_RULES if each.bus == "usb" else _PCI_RULES
        lines = [[line for line in rules if all(word in line for word in words)] for words in wanted]
        if not all(lines):
            what = "the USB Coral's two identities" if each.bus == "usb" else "/dev/apex_*"
            return Finding(name, "error", f"no udev rule for {what}", _RULE_REMEDY[each.bus])
        given = [re.search(r'group="?(\w+)', line) for some in lines for line in some]
        needed = {found[1] for found in given if found}
        is_open = all(any('mode="0666"' in line or "uaccess" in line for line in some) for some in lines)
        if needed and not needed & mine and not is_open:
            group = sorted(needed)[0]
            remedy = f"sudo adduser $USER {group}, then log in again (a service: SupplementaryGroups={group})"
            return Finding(
                name, "error", f"the device belongs to the group {group}, and this process is not in it", remedy
            )
    return Finding(name, "ok", "udev gives the device to a group of this process")


_USB_RULES = tuple((vendor, product) for vendor, product in USB_IDS)
_PCI_RULES = (('subsystem=="apex"',),)
_RELOAD = "sudo udevadm control --reload-rules && sudo udevadm trigger"
_RULE_REMEDY = {
    "usb": 'printf \'%s\\n\' \'SUBSYSTEM=="usb",ATTRS{idVendor}=="1a6e",ATTRS{idProduct}=="089a",GROUP="plugdev"\' '
    '\'SUBSYSTEM=="usb",ATTRS{idVendor}=="18d1",ATTRS{idProduct}=="9302",GROUP="plugdev"\' '
    f"| sudo tee /etc/udev/rules.d/99-edgetpu-accelerator.rules && {_RELOAD}, then plug it in again",
    "pci": 'echo \'SUBSYSTEM=="apex", MODE="0660", GROUP="apex"\' | sudo tee /etc/udev/rules.d/65-apex.rules '
    f"&& sudo groupadd -f apex && {_RELOAD}",
}


def check_usb_speed(corals: Sequence[Coral]) -> list[Finding]:
    """Is each USB Coral on USB 3? On USB 2 it works, but moving the pictures takes several times as long.

    google-coral/edgetpu #782: 10 ms on USB 3 and 70 to 80 ms on USB 2 for one detector (read).
    """
    findings = []
    for each in corals:
        if each.bus != "usb" or each.speed is None:
            continue
        name = f"Coral {each.place} speed"
        if each.speed >= _USB3_LEAST:
            findings.append(Finding(name, "ok", f"USB 3, {each.speed} Mbit/s"))
        else:
            remedy = "a blue (USB 3) port, plugged in quickly and fully; another cable; a powered USB 3 hub"
            findings.append(Finding(name, "warning", f"USB 2, {each.speed} Mbit/s: moving pictures is slow", remedy))
    return findings


def check_pcie(corals: Sequence[Coral], root: Path = Path("/")) -> Finding:
    """Does the kernel's driver (gasket and apex) serve the card, so that there is a /dev/apex_N?"""
    name = "Coral PCIe driver"
    cards = [each for each in corals if each.bus == "pci"]
    missing = [each.place for each in cards if each.node is None or not (root / each.node.lstrip("/")).exists()]
    if not missing:
        return Finding(name, "ok", ", ".join(str(each.node) for each in cards))
    if not (root / "sys/module/apex").exists():
        return Finding(
            name,
            "error",
            f"no driver serves {', '.join(missing)} (the module apex is not loaded)",
            "build and install gasket-dkms for this kernel (https://github.com/google/gasket-driver; kernels from 6.12 "
            "on need its open pull requests), then: sudo modprobe apex",
        )
    remedy = "sudo dmesg | grep -i -e apex -e gasket says why"
    if "Raspberry Pi" in board_name(root):
        # raspberrypi/linux pull request 6126 and Frigate's troubleshooting page: interrupts need another parent (read).
        remedy = (
            "in /boot/firmware/config.txt: dtparam=pciex1, dtoverlay=pciex1-compat-pi5,no-mip and "
            f"dtoverlay=pcie-32bit-dma-pi5; reboot; else {remedy}"
        )
    return Finding(name, "error", f"the module apex is loaded, but does not serve {', '.join(missing)}", remedy)


def check_pages(root: Path, page_size: int) -> Finding:
    """Does the kernel have pages of 4096 bytes, as the PCIe driver needs? The Pi 5's default kernel has 16384.

    geerlingguy/raspberry-pi-pcie-devices #44 and raspberrypi/linux pull request 6126 (read).
    """
    name = "kernel pages"
    if page_size == 4096:
        return Finding(name, "ok", "4096 bytes, as the PCIe driver needs")
    is_pi = "Raspberry Pi" in board_name(root)
    remedy = (
        "kernel=kernel8.img in /boot/firmware/config.txt, reboot, then build the driver again (sudo dkms autoinstall)"
    )
    return Finding(
        name,
        "error",
        f"{page_size} bytes; the PCIe driver needs 4096",
        remedy if is_pi else "boot a kernel of 4096-byte pages",
    )


def check_delegate(load: Callable[[], None], library: str = "libedgetpu.so.1") -> Finding:
    """Load the delegate in a child process, so that a crash becomes a finding.

    A Coral that a run already uses cannot be opened a second time, so a device that does not open is only a warning.

    Args:
        load: :func:`edge.child.tpu.probe`.
        library: the library to load: a path, or a name that the system's loader searches.
    """
    name = "Edge TPU delegate"
    try:
        load()
    except ChildError as error:
        found = f"while it is loaded: {error}"
        return Finding(name, "error", found, _INSTALL) if error.crashed else Finding(name, "warning", found, _FREE)
    except QuietcamError as error:
        found = f"does not load: {str(error).partition(' Remedy: ')[0]}"
        missing = "cannot open shared object" in found
        return Finding(name, "error" if missing else "warning", found, _INSTALL if missing else _FREE)
    return Finding(name, "ok", f"{library} loads")


_FREE = (
    "sudo systemctl stop quietcam, which uses the Coral while it runs, then: quietcam doctor; or plug the Coral "
    "in again, with another cable or a powered hub"
)


def _udev_rules(root: Path) -> list[str]:
    """Lines of all rule files, in lower case, without comments."""
    lines: list[str] = []
    for folder in ("etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d"):
        for file in sorted((root / folder).glob("*.rules")) if (root / folder).is_dir() else ():
            lines += [line.lower() for line in read_text(file).splitlines() if not line.lstrip().startswith("#")]
    return lines


def _version(text: str) -> tuple[int, int]:
    """Major and minor; (0, 0) where the text has none."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
