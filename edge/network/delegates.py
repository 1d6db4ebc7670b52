"""The devices that a network runs on: the CPU, or an Edge TPU through its delegate library."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from edge.network.runtime.installed import runtime
from quietcam.errors import DeviceError, UsageError, one_line

__all__ = ["CPU", "DEVICE_MEANS", "Device", "library_name", "load_delegate", "parse_devices"]

DEVICE_MEANS = "cpu, usb[:N] or pci[:N], or several of these with commas between them"
LIBRARY_VARIABLE = "QUIETCAM_EDGETPU_LIBRARY"
"""An environment variable. It may name another delegate library than the system's libedgetpu."""

_LIBRARIES = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}
_MOST = 64


@dataclass(frozen=True)
class Device:
    """A device that runs a network.

    Attributes:
        kind: ``cpu``, ``usb`` or ``pci``.
        index: the number of an Edge TPU among those of its kind, from 0; None takes any.
    """

    kind: str
    index: int | None = None

    @property
    def is_cpu(self) -> bool:
        return self.kind == "cpu"

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"


CPU = Device("cpu")


def parse_devices(text: str) -> tuple[Device, ...]:
    """Read a list of devices such as ``usb:0,usb:1``.

    Raises:
        UsageError: the text is not as ``DEVICE_MEANS`` says, or it names an Edge TPU twice.
    """
    devices = tuple(_parse(part.strip(), text) for part in text.lower().split(","))
    tpus = [each for each in devices if not each.is_cpu]
    for kind in {each.kind for each in tpus}:
        indices = [each.index for each in tpus if each.kind == kind]
        if len(set(indices)) < len(indices) or (None in indices and len(indices) > 1):
            raise UsageError(
                f"Each of several Edge TPUs needs a number of its own. Received: {text}. "
                f"Remedy: for example `device={kind}:0,{kind}:1`."
            )
    return devices


def _parse(part: str, text: str) -> Device:
    kind, colon, number = part.partition(":")
    known = kind in ("cpu", "usb", "pci")
    counted = re.fullmatch(r"[0-9]{1,3}", number) is not None and int(number) < _MOST and kind != "cpu"
    if not known or (colon and not counted):
        raise UsageError(f"A device is {DEVICE_MEANS}. Received: {text}. Remedy: for example `device=usb:0`.")
    return Device(kind, int(number) if colon else None)


def library_name() -> str:
    """The delegate library that is loaded: a path, or a name that the system's loader searches."""
    return os.environ.get(LIBRARY_VARIABLE) or _LIBRARIES.get(sys.platform, "libedgetpu.so.1")


def load_delegate(device: Device | None) -> Any:
    """Load the delegate of an Edge TPU, of any one for None. An interpreter takes it; keep it as long as that lives.

    The library may hang while it holds Python's lock, or crash. So call this in a child process only
    (:mod:`edge.child.tpu_job`).

    Raises:
        DeviceError: the library is missing, or it does not find the device.
        MissingExtraError: no runtime is installed.
    """
    load = runtime().load_delegate
    library = library_name()
    try:
        # Tried here first: when this fails in the runtime's own loader, an exception is raised in a destructor.
        found = ctypes.PyDLL(library)
        for function in ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate"):
            getattr(found, function)
    except (OSError, AttributeError) as error:
        raise DeviceError(
            f"{_named(device)} needs the library libedgetpu. Received: {error}. "
            f"Remedy: install libedgetpu, or name its file with {LIBRARY_VARIABLE}=FILE."
        ) from error
    try:
        return load(library, {} if device is None else {"device": str(device)})
    except ValueError as error:
        said = one_line(error)
    raise DeviceError(
        f"{_named(device)} does not start. Received: {said}. "
        "Remedy: check that it is plugged in (lsusb, ls /dev/apex*), that this user may open it, and that no other "
        "program uses it."
    )


def _named(device: Device | None) -> str:
    return "An Edge TPU" if device is None else f"The Edge TPU {device}"
