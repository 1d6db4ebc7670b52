"""Machine: what a guest is made of, and the words of qemu for it. Accelerator: KVM where it works, else emulation."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EMULATION", "KVM", "Accelerator", "Machine", "choose_accelerator", "has_kvm", "qemu_words"]

_DEVICE = Path("/dev/kvm")
_PROBE = 15.0  # seconds: a kernel under KVM says its version within one


@dataclass(frozen=True)
class Machine:
    """A guest's hardware and the words for its kernel.

    Attributes:
        memory: MiB.
        processors: how many.
        kernel: words for the kernel's command line, such as ``ro``.
        qemu: more words for qemu, such as ``("-rtc", "base=2031-01-01")``.
        cache: what qemu does with the disk's writes, as in ``-drive cache=``.
    """

    memory: int = 1024
    processors: int = 2
    kernel: tuple[str, ...] = ("rw",)
    qemu: tuple[str, ...] = ()
    cache: str = "writeback"


@dataclass(frozen=True)
class Accelerator:
    """How qemu runs the guest.

    Attributes:
        name: for the table.
        words: for qemu.
        patience: factor for limits of the lab itself (a boot, a command); promises to users are never multiplied.
        kernel: more words for the kernel's command line.
        counts: the guest's clock counts its instructions, so that a busy host makes no promise late. The host may then
            wait much longer than the guest does.
    """

    name: str
    words: tuple[str, ...]
    patience: float
    kernel: tuple[str, ...] = ()
    counts: bool = False


KVM = Accelerator("KVM", ("-accel", "kvm", "-cpu", "host"), 1.0)
EMULATION = Accelerator(
    "emulation",
    # One thread: with several, a kernel that changes its own code while a processor waits dies of a stray `int3`.
    # An instruction takes the guest 2 ns, however long it takes the host: half as fast as a Cortex-A53 at best.
    ("-accel", "tcg,thread=single,tb-size=256", "-cpu", "max", "-icount", "shift=1,sleep=on"),
    8.0,
    # Debian's own services have 90 s to start, which is too little on a busy host. Our unit's own limit stays.
    ("mitigations=off", "systemd.default_timeout_start_sec=900", "systemd.default_device_timeout_sec=900"),
    counts=True,
)


def has_kvm(device: Path = _DEVICE) -> bool:
    """Whether this user may open the device of KVM."""
    return os.access(device, os.R_OK | os.W_OK)


def choose_accelerator(kernel: Path, device: Path = _DEVICE, limit: float = _PROBE) -> Accelerator:
    """KVM if a kernel starts under it: the device alone proves nothing, for instance inside another guest."""
    if not has_kvm(device):
        return EMULATION
    with tempfile.TemporaryDirectory(prefix="quietcam-lab-") as folder:
        log = Path(folder) / "serial.log"
        log.touch()
        words = [
            *("qemu-system-x86_64", "-M", "q35", *KVM.words, "-m", "256", "-nic", "none", "-display", "none"),
            *("-monitor", "none", "-serial", f"file:{log}", "-no-reboot"),
            *("-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"),
        ]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + limit
            while time.monotonic() < until:
                if b"Linux version" in log.read_bytes():
                    return KVM
                if process.poll() is not None:
                    break
                time.sleep(0.1)
            return KVM if b"Linux version" in log.read_bytes() else EMULATION
        finally:
            process.kill()
            process.wait()


def qemu_words(
    machine: Machine, accelerator: Accelerator, image: Path, overlay: Path, serial: Path, port: Path, monitor: Path
) -> list[str]:
    """The command of qemu: no network, one disk, a serial line into a file, sockets of the agent and the monitor."""
    kernel = " ".join(("root=/dev/vda", "console=ttyS0", "quiet", *accelerator.kernel, "panic=-1", *machine.kernel))
    return [
        *("setpriv", "--pdeathsig", "KILL", "nice", "qemu-system-x86_64", "-M", "q35", *accelerator.words),
        *("-m", str(machine.memory), "-smp", str(machine.processors), "-nic", "none", "-display", "none"),
        *("-monitor", "none", "-no-reboot", "-serial", f"file:{serial}", "-device", "virtio-rng-pci"),
        *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"), "-append", kernel),
        *("-drive", f"file={overlay},if=virtio,format=qcow2,cache={machine.cache}"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={port},server=on,wait=off"),
        *("-device", "virtserialport,chardev=agent,name=quietcam.lab"),
        *("-qmp", f"unix:{monitor},server=on,wait=off", *machine.qemu),
    ]
