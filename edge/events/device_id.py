"""The device id: a short name for this machine that stays the same, for metrics, events and MQTT."""

from __future__ import annotations

import functools
import hashlib
import hmac
import socket
from pathlib import Path

__all__ = ["device_id", "device_name"]

_FILES = ("proc/device-tree/serial-number", "etc/machine-id")
_NONE = ("", "uninitialized")  # what an image holds before its first boot
_DIGITS = 12


@functools.cache  # whoever reports it later touches no disk
def device_id(root: Path = Path("/")) -> str:
    """12 hexadecimal digits: a keyed hash of the board's serial number (Raspberry Pi), else of ``/etc/machine-id``,
    else of the host name. Neither the serial number nor the machine id can be read from it, as machine-id(5) asks.
    """
    for file in _FILES:
        try:
            found = (root / file).read_text(encoding="ascii").strip("\0 \n")
        except (OSError, UnicodeDecodeError):
            continue
        if found not in _NONE and found.strip("0"):
            return _hashed(found)
    return _hashed(socket.gethostname())


def device_name() -> str:
    """The machine's host name without its domain."""
    return socket.gethostname().split(".")[0]


def _hashed(secret: str) -> str:
    return hmac.new(secret.encode(), b"quietcam", hashlib.sha256).hexdigest()[:_DIGITS]
